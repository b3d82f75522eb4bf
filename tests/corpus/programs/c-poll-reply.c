#include <arpa/inet.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

static int await_greeting(int fd) {
    struct pollfd watched = {.fd = fd, .events = POLLIN};
    return poll(&watched, 1, -1);
}

int main(void) {
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(6379)};
    inet_pton(AF_INET, getenv("CORPUS_HOST"), &peer.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    connect(fd, (struct sockaddr *)&peer, sizeof peer);
    return await_greeting(fd);
}
