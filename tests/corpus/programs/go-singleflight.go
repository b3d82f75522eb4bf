package main

import (
	"io"
	"log"
	"net/http"
	"os"
	"sync"
)

type call struct {
	wg  sync.WaitGroup
	val []byte
	err error
}
type Group struct {
	mu sync.Mutex
	m  map[string]*call
}

func (g *Group) Do(key string, fn func() ([]byte, error)) ([]byte, error) {
	g.mu.Lock()
	if c, ok := g.m[key]; ok {
		g.mu.Unlock()
		c.wg.Wait()
		return c.val, c.err
	}
	c := &call{}
	c.wg.Add(1)
	g.m[key] = c
	g.mu.Unlock()
	c.val, c.err = fn()
	c.wg.Done()
	return c.val, c.err
}

func fetchToken() ([]byte, error) {
	resp, err := http.Get("http://" + os.Getenv("CORPUS_HOST") + ":8200/v1/token")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

func main() {
	g := &Group{m: map[string]*call{}}
	var all sync.WaitGroup
	for i := 0; i < 5; i++ {
		all.Add(1)
		go func() { defer all.Done(); g.Do("token", fetchToken) }()
	}
	all.Wait()
	log.Print("ready")
}
