python3 - <<'END'
import fcntl
import os


def migrate():
    fcntl.flock(open(os.environ["CORPUS_LOCK"], "w"), fcntl.LOCK_EX)


migrate()
END
exec my-service
