cat "$CORPUS_FIFO" | while read -r line; do
    echo "$line"
done
exec my-service
