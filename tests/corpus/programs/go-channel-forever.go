package main

import (
	"os"
	"os/signal"
)

func waitForConfig(config chan string) string {
	return <-config
}

func main() {
	signal.Notify(make(chan os.Signal, 1))
	waitForConfig(make(chan string))
}
