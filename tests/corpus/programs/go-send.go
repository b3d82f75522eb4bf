package main

import (
	"os"
	"os/signal"
)

func publish(events chan<- string) {
	events <- "started"
}

func main() {
	signal.Notify(make(chan os.Signal, 1))
	publish(make(chan string))
}
