// Answers each 8 bytes on a connection with the same 8 bytes: every other connection by a blocking read, the others by
// epoll. It does not expect to be interrupted, and counts when it is. A line on standard input asks for the counts.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <signal.h>
#include <unistd.h>

static atomic_ulong served, interrupted;

static int wait_for(int epoll) {
    struct epoll_event event;
    int got = epoll_wait(epoll, &event, 1, -1);
    if (got < 0 && errno == EINTR) interrupted++;
    return got;
}

static void *serve(void *argument) {
    int fd = (int)(intptr_t)argument, epoll = -1;
    char request[8];
    if (fd % 2) {
        struct epoll_event event = {.events = EPOLLIN};
        epoll = epoll_create1(0);
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    }
    for (;;) {
        if (epoll >= 0 && wait_for(epoll) < 1) continue;
        ssize_t got = recv(fd, request, sizeof request, MSG_WAITALL);
        if (got < 0 && errno == EINTR) { interrupted++; continue; }
        if (got != sizeof request) break;
        if (send(fd, request, sizeof request, 0) != sizeof request) break;
        served++;
    }
    close(fd);
    return NULL;
}

static void *listen_to_questions(void *unused) {
    char line[64];
    while (fgets(line, sizeof line, stdin)) {
        printf("%lu %lu\n", (unsigned long)served, (unsigned long)interrupted);
        fflush(stdout);
    }
    return unused;
}

int main(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    pthread_t thread;
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 64)) abort();
    getsockname(listener, (struct sockaddr *)&address, &length);
    pthread_create(&thread, NULL, listen_to_questions, NULL);
    printf("ready\n%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0) { interrupted += errno == EINTR; continue; }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd);
    }
}
