package main

import (
	"sync"
	"time"
)

func waitUntilLoaded(loaded *sync.Cond) {
	loaded.L.Lock()
	defer loaded.L.Unlock()
	loaded.Wait()
}

func main() {
	go func() {
		for range time.Tick(200 * time.Millisecond) {
		}
	}()
	waitUntilLoaded(sync.NewCond(&sync.Mutex{}))
}
