//go:build !cgo

package main

func foreign(never chan int) {}
