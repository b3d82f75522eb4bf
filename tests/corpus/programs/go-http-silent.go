package main

import (
	"context"
	"net/http"
	"os"
)

func fetchSettings(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, "GET", "http://"+os.Getenv("CORPUS_PEER")+"/settings", nil)
	if err != nil {
		return err
	}
	_, err = http.DefaultClient.Do(request)
	return err
}

func main() {
	if err := fetchSettings(context.Background()); err != nil {
		panic(err)
	}
}
