#include <signal.h>

static void serve_forever(void) {
    sigset_t none;
    sigemptyset(&none);
    sigsuspend(&none);
}

int main(void) { serve_forever(); }
