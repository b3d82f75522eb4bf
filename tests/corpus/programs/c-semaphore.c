#include <semaphore.h>

static sem_t loaded;

__attribute__((noinline)) static int await_loaded(void) {
    int result = sem_wait(&loaded);
    return result + 1;
}

int main(void) {
    sem_init(&loaded, 0, 0);
    return await_loaded();
}
