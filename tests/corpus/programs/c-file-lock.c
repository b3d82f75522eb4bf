#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>

static int take_instance_lock(void) {
    int fd = open(getenv("CORPUS_LOCK"), O_RDWR);
    return flock(fd, LOCK_EX);
}

int main(void) { return take_instance_lock(); }
