PATH=/usr/bin:/bin
wait_for_cache() {
    until python3 -S -c "import os, socket; socket.create_connection((os.environ['CORPUS_HOST'], 6379))" 2>/dev/null; do
        sleep 0.4
    done
}
wait_for_cache
exec my-service
