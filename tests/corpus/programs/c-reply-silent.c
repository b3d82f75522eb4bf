#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sockaddr_in address(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, getenv("CORPUS_HOST"), &address.sin_addr);
    return address;
}

static long ask_database(int fd) {
    char reply[64];
    send(fd, "hello\n", 6, 0);
    return recv(fd, reply, sizeof reply, 0);
}

int main(void) {
    struct sockaddr_in peer = address(6379);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    connect(fd, (struct sockaddr *)&peer, sizeof peer);
    return ask_database(fd);
}
