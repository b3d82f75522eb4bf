package main

import (
	"fmt"
	"time"
)

func main() {
	for step := 1; ; step++ {
		fmt.Println("imported part", step)
		time.Sleep(150 * time.Millisecond)
	}
}
