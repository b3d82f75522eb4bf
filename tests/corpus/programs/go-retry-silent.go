package main

import (
	"net/http"
	"os"
	"time"
)

func waitForConfig(client *http.Client) {
	for {
		answer, err := client.Get("http://" + os.Getenv("CORPUS_PEER") + "/config")
		if err == nil {
			answer.Body.Close()
			return
		}
		time.Sleep(400 * time.Millisecond)
	}
}

func main() {
	waitForConfig(&http.Client{Timeout: time.Second})
}
