#include <threads.h>

static mtx_t lock;
static cnd_t loaded;

static void wait_until_loaded(void) {
    mtx_lock(&lock);
    cnd_wait(&loaded, &lock);
}

int main(void) {
    mtx_init(&lock, mtx_plain);
    cnd_init(&loaded);
    wait_until_loaded();
}
