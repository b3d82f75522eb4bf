package main

import (
	"net/http"
	"os"
	"time"
)

func waitForConfig(url string) {
	for {
		if response, err := http.Get(url); err == nil {
			response.Body.Close()
			return
		}
		time.Sleep(300 * time.Millisecond)
	}
}

func main() {
	waitForConfig("http://" + os.Getenv("CORPUS_PEER") + "/config")
}
