package main

import (
	"log"
	"net"
	"os"
	"time"
)

func waitForDatabase() {
	for {
		_, err := net.Dial("tcp", os.Getenv("CORPUS_PEER"))
		if err == nil {
			return
		}
		log.Println("database:", err)
		time.Sleep(300 * time.Millisecond)
	}
}

func main() {
	waitForDatabase()
}
