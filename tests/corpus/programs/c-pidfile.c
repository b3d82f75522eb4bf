#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int take_pidfile(const char *path) {
    int fd = open(path, O_RDWR | O_CREAT, 0644);
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_SETLKW, &whole) < 0) { perror("pidfile"); exit(1); }
    dprintf(fd, "%d\n", getpid());
    return fd;
}

int main(int argc, char **argv) {
    (void)argc;
    /* The previous instance is still there. */
    if (argv[2]) { take_pidfile(argv[1]); pid_t next = fork(); if (next == 0) { execl(argv[0], argv[0], argv[1], NULL); } pause(); }
    take_pidfile(argv[1]);
    puts("serving");
    pause();
}
