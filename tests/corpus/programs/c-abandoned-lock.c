#include <pthread.h>

static pthread_mutex_t cache = PTHREAD_MUTEX_INITIALIZER;

static void *fill(void *nothing) {
    pthread_mutex_lock(&cache);
    return nothing;
}

static void read_cache(void) { pthread_mutex_lock(&cache); }

int main(void) {
    pthread_t filler;
    pthread_create(&filler, 0, fill, 0);
    pthread_join(filler, 0);
    read_cache();
    return 0;
}
