package main

import (
	"os"
	"os/signal"
	"sync"
)

var registry sync.Mutex

func addDefault() {
	registry.Lock()
}

func main() {
	signal.Notify(make(chan os.Signal, 1))
	registry.Lock()
	addDefault()
}
