package main

import (
	"log"
	"net"
	"os"
	"time"
)

func dialSidecar(path string) net.Conn {
	for {
		conn, err := net.Dial("unix", path)
		if err == nil {
			return conn
		}
		log.Printf("sidecar: %v", err)
		time.Sleep(300 * time.Millisecond)
	}
}

func main() {
	conn := dialSidecar(os.Getenv("CORPUS_SOCKET"))
	defer conn.Close()
	log.Println("ready")
}
