package main

import "log"

type Conn struct{ id int }

type Pool struct{ free chan *Conn }

func NewPool(size int) *Pool {
	p := &Pool{make(chan *Conn, size)}
	for i := 0; i < size; i++ {
		p.free <- &Conn{i}
	}
	return p
}

func (p *Pool) Get() *Conn  { return <-p.free }
func (p *Pool) Put(c *Conn) { p.free <- c }

func migrate(p *Pool, steps int) {
	for i := 0; i < steps; i++ {
		c := p.Get()
		log.Printf("step %d on connection %d", i, c.id)
	}
}

func main() {
	migrate(NewPool(2), 3)
}
