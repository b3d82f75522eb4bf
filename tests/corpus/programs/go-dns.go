package main

import "net"

func findDatabase() {
	net.LookupHost("db.shop.internal")
}

func main() {
	findDatabase()
}
