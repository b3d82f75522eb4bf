#include <pthread.h>
#include <unistd.h>

static pthread_t main_thread;

static void *helper(void *unused) {
    pthread_join(main_thread, 0);
    return unused;
}

__attribute__((noinline)) static int finish(pthread_t thread) {
    int result = pthread_join(thread, 0);
    return result + 1;
}

int main(void) {
    pthread_t thread;
    main_thread = pthread_self();
    pthread_create(&thread, 0, helper, 0);
    return finish(thread);
}
