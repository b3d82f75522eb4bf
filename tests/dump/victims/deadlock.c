// Two threads that take two mutexes in opposite order.
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

static pthread_mutex_t first = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t second = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t both;

static inline __attribute__((always_inline)) void take(pthread_mutex_t *mutex) {
    pthread_mutex_lock(mutex); // in take
}

static void *forwards(void *unused) {
    pthread_mutex_lock(&first);
    pthread_barrier_wait(&both);
    pthread_mutex_lock(&second); // in forwards
    return unused;
}

static void *backwards(void *unused) {
    pthread_mutex_lock(&second);
    pthread_barrier_wait(&both);
    take(&first); // in backwards
    return unused;
}

int main(void) {
    pthread_t a, b;
    pthread_barrier_init(&both, NULL, 2);
    pthread_create(&a, NULL, forwards, NULL);
    pthread_create(&b, NULL, backwards, NULL);
    puts("ready");
    fflush(stdout);
    pthread_join(a, NULL); // in main
    return 0;
}
