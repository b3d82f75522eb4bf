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

static void run_migration(void) {
    pid_t child = fork();
    if (child == 0) execlp("sleep", "sleep", "600", NULL);
    waitpid(child, NULL, 0);
}

int main(void) { run_migration(); }
