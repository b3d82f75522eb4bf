package main

import (
	"os"
	"syscall"
)

func takeLock() {
	file, _ := os.OpenFile(os.Getenv("CORPUS_LOCK"), os.O_RDWR, 0)
	syscall.Flock(int(file.Fd()), syscall.LOCK_EX)
}

func main() {
	takeLock()
}
