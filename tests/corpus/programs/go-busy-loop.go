package main

func findPrime() int {
	n := 0
	for {
		n++
		if n < 0 {
			n = 0
		}
	}
}

func main() {
	findPrime()
}
