package main

import (
	"context"
	"fmt"
	"log"
	"math/rand"
	"net"
	"os"
	"time"
)

func ping(ctx context.Context, addr string) error {
	d := net.Dialer{Timeout: 300 * time.Millisecond}
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	return c.Close()
}

func openDB(ctx context.Context, addr string) error {
	wait := 100 * time.Millisecond
	for attempt := 1; ; attempt++ {
		err := ping(ctx, addr)
		if err == nil {
			return nil
		}
		log.Printf("database not ready (attempt %d): %v", attempt, err)
		select {
		case <-time.After(wait + time.Duration(rand.Intn(50))*time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
		if wait < time.Second {
			wait *= 2
		}
	}
}

func main() {
	if err := openDB(context.Background(), os.Getenv("CORPUS_HOST")+":5432"); err != nil {
		log.Fatal(err)
	}
}
