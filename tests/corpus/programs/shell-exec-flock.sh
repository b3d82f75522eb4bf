echo "starting"
exec flock --exclusive "$CORPUS_LOCK" my-service --listen 8080
