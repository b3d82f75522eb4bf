until (exec 3<>"/dev/tcp/$CORPUS_HOST/6379") 2>/dev/null; do sleep 0.4; done
exec my-service
