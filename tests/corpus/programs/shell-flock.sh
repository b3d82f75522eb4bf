(
    flock 9
    echo migrated
) 9>>"$CORPUS_LOCK"
exec my-service
