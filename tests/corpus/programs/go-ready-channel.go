package main

import (
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func connectBroker(addr string, ready chan<- struct{}) {
	for {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			c.Close()
			close(ready)
			return
		}
		time.Sleep(250 * time.Millisecond)
	}
}

func main() {
	ready := make(chan struct{})
	sigs := make(chan os.Signal, 1)
	signal.Notify(sigs, syscall.SIGTERM)
	go func() { <-sigs; os.Exit(0) }()
	admin, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go http.Serve(admin, nil)
	go connectBroker(os.Getenv("CORPUS_HOST")+":9092", ready)
	log.Print("waiting for broker")
	<-ready
	log.Print("up")
	select {}
}
