#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static long ask_agent(void) {
    struct sockaddr_un agent = {.sun_family = AF_UNIX};
    strncpy(agent.sun_path, getenv("CORPUS_SOCKET"), sizeof agent.sun_path - 1);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    char reply[16];
    connect(fd, (struct sockaddr *)&agent, sizeof agent);
    return read(fd, reply, sizeof reply);
}

int main(void) { return ask_agent(); }
