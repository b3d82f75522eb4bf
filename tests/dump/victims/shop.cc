// C++ with a template, a namespace and an inlined member.
#include <cstdio>
#include <unistd.h>

namespace shop {
template <typename T> struct Queue {
    T last{};
    inline __attribute__((always_inline)) T take() {
        char byte;
        if (read(0, &byte, 1) == 1) last += byte; // in take
        return last;
    }
};
struct Worker {
    Queue<int> queue;
    __attribute__((noinline)) int serve() {
        int taken = queue.take(); // in serve
        return taken + 1;
    }
};
}

int main() {
    shop::Worker worker;
    std::puts("ready");
    std::fflush(stdout);
    return worker.serve();
}
