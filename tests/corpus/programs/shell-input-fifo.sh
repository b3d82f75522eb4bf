read -r secret < "$CORPUS_FIFO"
exec my-service "$secret"
