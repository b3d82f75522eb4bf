// Stacks and processes of many shapes; the first argument says which.
#define _GNU_SOURCE
#include <alloca.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile unsigned long rounds;
static volatile int *volatile nowhere;

static void say_ready(void) {
    puts("ready");
    fflush(stdout);
}

__attribute__((noinline)) static void spin(void) {
    for (;;) rounds++; // in spin
}

static void *busy(void *unused) {
    spin();
    return unused;
}

__attribute__((noinline)) static void wait_for_input(void) {
    char byte;
    say_ready();
    while (read(0, &byte, 1) > 0) {} // in wait_for_input
    asm volatile("");
}

__attribute__((noinline)) static int with_alloca(int size) {
    volatile char *space = alloca(size);
    space[0] = 1;
    space[size - 1] = 2;
    wait_for_input(); // in with_alloca
    return space[0];
}

__attribute__((noinline)) static int large_frame(void) {
    volatile char space[50000];
    space[0] = 1;
    space[sizeof space - 1] = 2;
    wait_for_input();
    return space[0];
}

__attribute__((noinline)) static int many_arguments(int a, int b, int c, int d, int e, int f, int g, int h, int i) {
    wait_for_input();
    return a + b + c + d + e + f + g + h + i;
}

__attribute__((noinline)) static int aligned(void) {
    volatile char space[64] __attribute__((aligned(64)));
    space[0] = 1;
    wait_for_input();
    return space[0];
}

static void handler(int signal) {
    (void)signal;
    wait_for_input(); // in handler
}

__attribute__((noinline)) static void interrupted(void) {
    raise(SIGUSR1); // in interrupted
    asm volatile("");
}

__attribute__((noinline)) static void fault(void) {
    *nowhere = 1; // in fault
    asm volatile("");
}

// push rbp; mov rbp, rsp; call rdi; pop rbp; ret
static const unsigned char jit_code[] = {0x55, 0x48, 0x89, 0xe5, 0xff, 0xd7, 0x5d, 0xc3};
// The same with r15 in the way, calling through the function at rsi with rdi as its argument.
static const unsigned char jit_outer[] = {0x55, 0x48, 0x89, 0xe5, 0x41, 0x57, 0x41, 0x57, 0xff, 0xd6, 0x41, 0x5f, 0x41, 0x5f, 0x5d, 0xc3};

__attribute__((noinline)) static void from_jit(void) {
    wait_for_input();
    asm volatile("");
}

__attribute__((noinline)) static void spin_from_jit(void) {
    say_ready();
    spin();
}

__attribute__((noinline)) static void into_jit(void (*inner)(void)) {
    char *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(code, jit_code, sizeof jit_code);
    memcpy(code + 64, jit_outer, sizeof jit_outer);
    ((void (*)(void (*)(void), void *))(code + 64))(inner, code); // in into_jit
}

__attribute__((noinline)) static void smash(void) {
    volatile uintptr_t *frame = __builtin_frame_address(0);
    frame[0] = 0x4141414141414141;
    frame[1] = 0x4242424242424242;
    wait_for_input();
    _exit(0);
}

__attribute__((noinline)) static int recurse(int depth) {
    if (depth == 0) {
        wait_for_input();
        return 0;
    }
    return recurse(depth - 1) + 1;
}

__attribute__((noinline)) static void jump(void (*to)(void)) {
    to(); // in jump
    asm volatile("");
}

__attribute__((noinline)) static void into_mapped(const char *path, long offset) {
    int fd = open(path, O_RDONLY);
    char *start = mmap(NULL, offset + 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
    ((void (*)(void (*)(void)))(start + offset))(from_jit);
    asm volatile("");
}

__attribute__((noinline)) static void into_library(const char *path) {
    void (*through)(void (*)(void)) = (void (*)(void (*)(void)))dlsym(dlopen(path, RTLD_NOW), "through");
    through(from_jit);
    asm volatile("");
}

__attribute__((noinline)) static void many_mappings(int count) {
    // Neighbours with other rights are not merged.
    for (int i = 0; i < count; i++)
        if (mmap(NULL, 4096, i % 2 ? PROT_READ : PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED) abort();
    wait_for_input();
}

static void *park(void *unused) {
    pause();
    return unused;
}

static void threads(int count, void *(*start)(void *)) {
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 65536);
    for (int i = 0; i < count; i++) {
        pthread_t thread;
        if (pthread_create(&thread, &small, start, NULL)) abort();
    }
}

int main(int argc, char **argv) {
    const char *shape = argc > 1 ? argv[1] : "";
    int number = argc > 2 ? atoi(argv[2]) : 0;
#define IS(text) (!strcmp(shape, text))
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (IS("wait")) wait_for_input();
    if (IS("busy")) {
        threads(1, busy);
        char line[16];
        while (!rounds) sched_yield(); // ready only once it spins
        say_ready();
        while (fgets(line, sizeof line, stdin)) {
            printf("%lu\n", rounds);
            fflush(stdout);
        }
    }
    if (IS("alloca")) with_alloca(number);
    if (IS("large")) large_frame();
    if (IS("arguments")) many_arguments(1, 2, 3, 4, 5, 6, 7, 8, 9);
    if (IS("aligned")) aligned();
    if (IS("signal")) { signal(SIGUSR1, handler); interrupted(); }
    if (IS("fault")) {
        stack_t other = {.ss_sp = malloc(65536), .ss_size = 65536};
        struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK};
        sigaltstack(&other, NULL);
        sigaction(SIGSEGV, &action, NULL);
        fault();
    }
    if (IS("jump")) { signal(SIGSEGV, handler); jump((void (*)(void))(uintptr_t)strtoull(argv[2], NULL, 16)); }
    if (IS("mapped")) into_mapped(argv[3], number);
    if (IS("library")) into_library(argv[2]);
    if (IS("mappings")) many_mappings(number);
    if (IS("jit")) into_jit(from_jit);
    if (IS("jit-busy")) into_jit(spin_from_jit);
    if (IS("smash")) smash();
    if (IS("deep")) recurse(number);
    if (IS("threads")) { threads(number, park); wait_for_input(); }
    if (IS("vfork")) {
        if (vfork() == 0) {
            wait_for_input();
            _exit(0);
        }
    }
    if (IS("zombie")) {
        if (fork() == 0) _exit(0);
        siginfo_t info;
        waitid(P_ALL, 0, &info, WEXITED | WNOWAIT);
        wait_for_input();
    }
    if (IS("undumpable")) { prctl(PR_SET_DUMPABLE, 0); wait_for_input(); }
    if (IS("main-ends")) { threads(1, park); say_ready(); pthread_exit(NULL); }
    return 0;
}
