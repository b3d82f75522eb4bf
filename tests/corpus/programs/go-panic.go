package main

func loadConfig(keys map[string]string) {
	keys["port"] = "8080"
}

func main() {
	loadConfig(nil)
}
