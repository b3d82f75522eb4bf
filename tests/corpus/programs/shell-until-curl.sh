until curl --silent --fail "http://$CORPUS_PEER/health"; do
    sleep 0.4
done
exec my-service
