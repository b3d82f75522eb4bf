package main

import (
	"net"
	"os"
)

func readGreeting(conn net.Conn) {
	conn.Read(make([]byte, 16))
}

func main() {
	conn, err := net.Dial("tcp", os.Getenv("CORPUS_PEER"))
	if err != nil {
		panic(err)
	}
	readGreeting(conn)
}
