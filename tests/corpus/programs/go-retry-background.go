package main

import (
	"net"
	"os"
	"sync"
	"time"
)

func dialUntilThere(group *sync.WaitGroup) {
	defer group.Done()
	pause := time.NewTicker(300 * time.Millisecond)
	for range pause.C {
		connection, err := net.DialTimeout("tcp", os.Getenv("CORPUS_PEER"), time.Second)
		if err == nil {
			connection.Close()
			return
		}
	}
}

func main() {
	var group sync.WaitGroup
	group.Add(1)
	go dialUntilThere(&group)
	group.Wait()
}
