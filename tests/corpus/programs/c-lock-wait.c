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

static pthread_mutex_t cache = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t held;

static void *fill_cache(void *unused) {
    pthread_mutex_lock(&cache);
    pthread_barrier_wait(&held);
    sleep(600);
    return unused;
}

static void read_cache(void) { pthread_mutex_lock(&cache); }

int main(void) {
    pthread_t filler;
    pthread_barrier_init(&held, NULL, 2);
    pthread_create(&filler, NULL, fill_cache, NULL);
    pthread_barrier_wait(&held);
    read_cache();
}
