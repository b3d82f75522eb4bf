package main

import (
	"sync"
	"time"
)

type cache struct {
	sync.RWMutex
	values map[string]string
}

func (c *cache) get(key string) string {
	c.RLock()
	defer c.RUnlock()
	return c.values[key]
}

func (c *cache) refresh() {
	c.Lock()
	defer c.Unlock()
	c.values["a"] = c.get("b")
}

func main() {
	go func() {
		for range time.Tick(200 * time.Millisecond) {
		}
	}()
	(&cache{values: map[string]string{}}).refresh()
}
