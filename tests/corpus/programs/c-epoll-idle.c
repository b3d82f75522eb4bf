#include <sys/epoll.h>

static void event_loop(void) {
    struct epoll_event event;
    epoll_wait(epoll_create1(0), &event, 1, -1);
}

int main(void) { event_loop(); }
