package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	dir := os.Getenv("CORPUS_DIR")
	for i := 0; ; i++ {
		name := filepath.Join(dir, fmt.Sprintf("object-%d", i%50))
		os.WriteFile(name, make([]byte, 64<<10), 0o600)
		data, _ := os.ReadFile(name)
		sum := sha256.Sum256(data)
		if i%100 == 0 {
			fmt.Printf("verified %d objects, last %x\n", i, sum[:4])
		}
	}
}
