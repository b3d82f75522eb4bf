package main

import "os"

func readSecret() {
	os.Open(os.Getenv("CORPUS_FIFO"))
}

func main() {
	readSecret()
}
