package main

import (
	"os"
	"os/signal"
	"sync"
)

func startWorkers() {
	var workers sync.WaitGroup
	workers.Add(2)
	go workers.Done()
	workers.Wait()
}

func main() {
	signal.Notify(make(chan os.Signal, 1))
	startWorkers()
}
