package main

import "sync"

func waitUntilLoaded(loaded *sync.Cond) {
	loaded.L.Lock()
	defer loaded.L.Unlock()
	loaded.Wait()
}

func main() {
	waitUntilLoaded(sync.NewCond(&sync.Mutex{}))
}
