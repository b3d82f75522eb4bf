#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t both;

static void *logger(void *unused) {
    pthread_mutex_lock(&log_lock);
    pthread_barrier_wait(&both);
    sleep(600);
    return unused;
}

__attribute__((noinline)) static int log_line(void) {
    pthread_mutex_lock(&log_lock);
    return pthread_mutex_unlock(&log_lock);
}

int main(void) {
    pthread_t thread;
    pthread_barrier_init(&both, 0, 2);
    pthread_create(&thread, 0, logger, 0);
    pthread_barrier_wait(&both);
    if (fork() == 0)
        _exit(log_line());
    return wait(0);
}
