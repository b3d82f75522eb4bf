package main

import (
	"os"
	"os/signal"
	"sync"
)

var (
	once   sync.Once
	config map[string]string
)

func Config() map[string]string {
	once.Do(func() { config = load() })
	return config
}

func load() map[string]string {
	return map[string]string{"path": Config()["home"]}
}

func main() {
	signal.Notify(make(chan os.Signal, 1))
	Config()
}
