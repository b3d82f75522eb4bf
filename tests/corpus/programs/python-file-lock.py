import fcntl
import os


def take_instance_lock():
    lock = open(os.environ["CORPUS_LOCK"], "w")
    fcntl.flock(lock, fcntl.LOCK_EX)


take_instance_lock()
