package main

import "os/exec"

func runMigration() {
	exec.Command("sleep", "600").Run()
}

func main() {
	runMigration()
}
