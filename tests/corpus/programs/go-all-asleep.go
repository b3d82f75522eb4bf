package main

func waitForever(done chan bool) {
	<-done
}

func main() {
	waitForever(make(chan bool))
}
