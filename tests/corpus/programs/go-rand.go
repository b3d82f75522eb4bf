package main

import (
	"crypto/rand"
	"fmt"
)

func sessionKey() []byte {
	key := make([]byte, 32)
	rand.Read(key)
	return key
}

func main() { fmt.Println(len(sessionKey())) }
