// A program in which every goroutine waits for something else.
package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
)

type queue struct {
	items chan int
	mutex sync.Mutex
}

//go:noinline
func (q *queue) take() int {
	return <-q.items // in take
}

func (q queue) give(item int) {
	q.items <- item // in give
}

type stack[T any] struct{ items chan T }

//go:noinline
func (s *stack[T]) pop() T {
	return <-s.items // in pop
}

func first[T any](c chan T) T { return <-c } // in first

type waiter interface{ wait() }

type byValue struct{ c chan int }

func (b byValue) wait() { <-b.c } // in wait

//go:noinline
func deep(depth int, c chan int) int {
	if depth == 0 {
		return <-c // at the bottom
	}
	return deep(depth-1, c) + 1
}

func choose(a, b chan int) {
	select { // chooses
	case <-a:
	case b <- 1:
	}
}

func withDeferred(c chan int) {
	defer func() {
		recover()
		<-c // in deferred
	}()
	var nothing map[string]int
	nothing["a"] = 1
}

func inPanic(c chan int) {
	defer func() { <-c }() // in panic
	panic("held")
}

//go:noinline
func spin() {
	for {
	}
}

func main() {
	var mutex sync.Mutex
	var readers sync.RWMutex
	var group sync.WaitGroup
	var once sync.Once
	never := make(chan int)
	buffered := make(chan int, 3)
	buffered <- 1
	buffered <- 2
	full := make(chan int, 1)
	full <- 1
	mutex.Lock()
	readers.Lock()
	group.Add(1)

	q := &queue{items: make(chan int)}
	go q.take()
	go queue{items: full}.give(2)
	go (&stack[int]{items: never}).pop()
	go func() { first(make(chan string)) }()
	var w waiter = &byValue{never}
	go w.wait()
	go deep(20, never)
	go choose(never, full)
	go withDeferred(never)
	go inPanic(never)
	go func() { mutex.Lock() }()        // wants the mutex
	go func() { readers.RLock() }()     // wants to read
	go func() { readers.Lock() }()      // wants to write
	go group.Wait()                     // wants the group
	go once.Do(func() { <-never })      // holds the once
	go func() { select {} }()           // for ever
	go func() { var c chan int; <-c }() // of nil
	go func() { var c chan int; c <- 1 }() // to nil
	go time.Sleep(time.Hour) // sleeps
	go func() {
		condition := sync.NewCond(&sync.Mutex{})
		condition.L.Lock()
		condition.Wait() // in a condition
	}()
	go func() {
		runtime.LockOSThread()
		<-never
	}()

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	go func() {
		accepted, err := listener.Accept()
		check(err)
		listener.Accept() // accepts
		accepted.Close()
	}()
	connection, err := net.Dial("tcp", listener.Addr().String())
	check(err)
	go connection.Read(make([]byte, 1)) // reads
	go func() {
		if len(os.Args) > 1 {
			net.Dial("tcp", os.Args[1]) // connects
		}
	}()
	reader, writer, err := os.Pipe()
	check(err)
	go reader.Read(make([]byte, 1)) // reads the pipe
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	check(err)
	go syscall.Read(pair[0], make([]byte, 1)) // in a system call

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { <-ctx.Done() }()
	timer := time.NewTimer(time.Hour)
	go func() { <-timer.C }()
	foreign(never)

	if len(os.Args) > 2 {
		go spin()
		go deep(5000, never) // deep
	}
	go answer()
	fmt.Println("ready")
	fmt.Println(<-q.items, buffered, writer, pair) // main waits
}

// answer writes what Go itself says of all goroutines, once for each line that it reads.
func answer() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() { // answers
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		fmt.Printf("%s\nend\n", stacks)
	}
	select {}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
