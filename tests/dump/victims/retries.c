// Connects to 127.0.0.1 at the port it is told, in vain, and sleeps in between; says how often a sleep was cut short.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

static int dial(int port, int flags) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM | flags, 0), error = 0;
    socklen_t length = sizeof error;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        error = errno;
    if (error == EINPROGRESS) {
        struct pollfd one = {fd, POLLOUT, 0};
        poll(&one, 1, 5000);
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
    }
    close(fd);
    return error;
}

int main(int count, char **arguments) {
    int port = atoi(arguments[1]), flags = count > 2 ? SOCK_NONBLOCK : 0;
    int events = epoll_create1(0);
    struct epoll_event event;
    struct timespec pause = {0, 150000000};
    puts("ready");
    fflush(stdout);
    while (dial(port, flags) != 0)
        if (count > 2 && !strcmp(arguments[2], "epoll") ? epoll_wait(events, &event, 1, 150) < 0
                                                        : nanosleep(&pause, 0) < 0) {
            puts("cut short");
            fflush(stdout);
        }
    puts("connected");
    fflush(stdout);
    return 0;
}
