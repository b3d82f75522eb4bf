// A server that takes 200 ms to start, answers each connection once with its process id, and ends what it has begun when
// it is told to stop. It takes the socket that it is given, by systemd's protocol or by that of Server::Starter, or binds
// its own, with SO_REUSEPORT when its second argument is "share".
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func given() int {
	if os.Getenv("LISTEN_FDS") != "" {
		return 3
	}
	// ADDRESS=FD
	if _, number, found := strings.Cut(os.Getenv("SERVER_STARTER_PORT"), "="); found {
		fd, err := strconv.Atoi(number)
		check(err)
		return fd
	}
	return -1
}

func listener() (net.Listener, error) {
	if fd := given(); fd >= 0 {
		return net.FileListener(os.NewFile(uintptr(fd), "listener"))
	}
	var config net.ListenConfig
	if len(os.Args) > 2 && os.Args[2] == "share" {
		const reusePort = 15
		config.Control = func(_, _ string, raw syscall.RawConn) error {
			var err error
			control := func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, reusePort, 1) }
			if failed := raw.Control(control); failed != nil {
				return failed
			}
			return err
		}
	}
	return config.Listen(context.Background(), "tcp", os.Args[1])
}

func ready() {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" || given() < 0 {
		return
	}
	socket, err := net.Dial("unixgram", name)
	check(err)
	_, err = socket.Write([]byte("READY=1"))
	check(err)
}

func main() {
	time.Sleep(200 * time.Millisecond)
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM)
	listener, err := listener()
	check(err)
	answer := fmt.Sprintln(os.Getpid())
	server := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, answer) })}
	go func() {
		<-told
		server.Shutdown(context.Background())
	}()
	ready()
	if err := server.Serve(listener); err != http.ErrServerClosed {
		check(err)
	}
	// Once more, now that nothing is accepted any longer: it waits for all that was.
	server.Shutdown(context.Background())
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
