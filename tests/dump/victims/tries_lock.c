// Tries to lock the file that it is told, in vain, and sleeps in between.
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <time.h>

int main(int count, char **arguments) {
    (void)count;
    int fd = open(arguments[1], O_RDWR);
    struct timespec pause = {0, 150000000};
    puts("ready");
    fflush(stdout);
    while (flock(fd, LOCK_EX | LOCK_NB) < 0)
        nanosleep(&pause, 0);
    puts("locked");
    fflush(stdout);
    return 0;
}
