package main

import (
	"net/http"
	"os"
)

func main() {
	http.ListenAndServe(os.Getenv("CORPUS_HOST")+":9090", nil)
}
