//go:build cgo

package main

/*
#include <unistd.h>

extern void called(int);

static void sleep_in_c(void) { pause(); }
static void call_back(int n) { called(n); }
*/
import "C"

var waits chan int

//export called
func called(n C.int) { <-waits } // called by C

func foreign(never chan int) {
	waits = never
	go C.sleep_in_c()
	go C.call_back(1)
}
