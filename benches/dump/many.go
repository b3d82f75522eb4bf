// Very many goroutines that wait, most of them in few places, as in a server; and the profile of them over HTTP.
package main

import (
	"fmt"
	"net"
	"net/http"
	_ "net/http/pprof"
	"os"
	"strconv"
	"sync"
	"time"
)

type worker struct{ jobs, results chan int }

func (w *worker) run() {
	for job := range w.jobs {
		w.results <- w.do(job)
	}
}

//go:noinline
func (w *worker) do(job int) int {
	var turn sync.Mutex
	turn.Lock()
	time.Sleep(time.Duration(job) * time.Hour)
	return job
}

func (w *worker) choose(stop chan bool) {
	select {
	case w.results <- <-w.jobs:
	case <-stop:
	}
}

func main() {
	count, err := strconv.Atoi(os.Args[1])
	check(err)
	stop := make(chan bool)
	for i := 0; i < count; i++ {
		w := &worker{make(chan int, 1), make(chan int)}
		switch i % 10 {
		case 0:
			w.jobs <- 1
			go w.run()
		case 1:
			w.jobs <- 1
			go w.choose(stop)
		default:
			go w.run()
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	time.Sleep(100 * time.Millisecond)
	fmt.Println(listener.Addr())
	check(http.Serve(listener, nil))
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
