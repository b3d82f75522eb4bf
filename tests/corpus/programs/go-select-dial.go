package main

import (
	"net"
	"os"
)

func dialCache() {
	connection, err := net.Dial("tcp", os.Getenv("CORPUS_PEER"))
	if err == nil {
		connection.Close()
	}
}

func main() {
	go dialCache()
	select {}
}
