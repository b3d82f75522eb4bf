package main

import (
	"net"
	"os"
)

func initRedis() net.Conn {
	conn, err := net.Dial("tcp", os.Getenv("CORPUS_PEER"))
	if err != nil {
		panic(err)
	}
	return conn
}

func main() {
	initRedis()
}
