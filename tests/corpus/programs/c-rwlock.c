#include <pthread.h>
#include <unistd.h>

static pthread_rwlock_t settings = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t both;

static void *reload(void *unused) {
    pthread_rwlock_wrlock(&settings);
    pthread_barrier_wait(&both);
    sleep(600);
    return unused;
}

__attribute__((noinline)) static int read_settings(void) {
    pthread_rwlock_rdlock(&settings);
    return pthread_rwlock_unlock(&settings);
}

int main(void) {
    pthread_t writer;
    pthread_barrier_init(&both, 0, 2);
    pthread_create(&writer, 0, reload, 0);
    pthread_barrier_wait(&both);
    return read_settings();
}
