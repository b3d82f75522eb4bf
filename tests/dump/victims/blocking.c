// One thread for each kind of blocking call, named after it. A call that returns counts; "check" asks how many did.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER, other = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static sem_t semaphore;
static int queue, semaphores, child;
static struct sockaddr_in full;
static char returned[4096];
static pthread_mutex_t returned_lock = PTHREAD_MUTEX_INITIALIZER;

static int full_listener(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    socklen_t length = sizeof full;
    full.sin_family = AF_INET;
    full.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bind(fd, (struct sockaddr *)&full, sizeof full);
    listen(fd, 0);
    getsockname(fd, (struct sockaddr *)&full, &length);
    int filler = socket(AF_INET, SOCK_STREAM, 0);
    connect(filler, (struct sockaddr *)&full, sizeof full);
    return fd;
}

static int with_timeout(int fd, int option) {
    struct timeval long_time = {.tv_sec = 1000};
    setsockopt(fd, SOL_SOCKET, option, &long_time, sizeof long_time);
    return fd;
}

static sigset_t of(int signal) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    return set;
}

static int pipe_end(int end) {
    int fds[2];
    if (pipe(fds)) abort();
    return fds[end];
}

static int call(const char *name) {
    struct timespec long_time = {.tv_sec = 1000};
    char buffer[65536] = {0};
    int fd, fds[2];
#define IS(text) (!strcmp(name, text))
    if (IS("epoll_wait")) {
        struct epoll_event event = {.events = EPOLLOUT}, got;
        fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect(fd, (struct sockaddr *)&full, sizeof full);
        int epoll = epoll_create1(0);
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
        return epoll_wait(epoll, &got, 1, -1);
    }
    if (IS("semop")) { struct sembuf down = {.sem_op = -1}; return semop(semaphores, &down, 1); }
    if (IS("sigwaitinfo")) { sigset_t set = of(SIGUSR1); return sigwaitinfo(&set, NULL); }
    if (IS("sigtimedwait")) { sigset_t set = of(SIGUSR2); return sigtimedwait(&set, NULL, &long_time); }
    if (IS("recv")) { socketpair(AF_UNIX, SOCK_STREAM, 0, fds); return recv(with_timeout(fds[0], SO_RCVTIMEO), buffer, 1, 0); }
    if (IS("send")) {
        socketpair(AF_UNIX, SOCK_STREAM, 0, fds);
        while (send(fds[0], buffer, sizeof buffer, MSG_DONTWAIT) > 0) {}
        return send(fds[0], buffer, sizeof buffer, 0);
    }
    if (IS("connect")) return connect(with_timeout(socket(AF_INET, SOCK_STREAM, 0), SO_SNDTIMEO), (struct sockaddr *)&full, sizeof full);
    if (IS("connect_unix")) {
        struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "full.sock"};
        fd = socket(AF_UNIX, SOCK_STREAM, 0);
        bind(fd, (struct sockaddr *)&address, sizeof address);
        listen(fd, 0);
        connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&address, sizeof address);
        return connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&address, sizeof address);
    }
    if (IS("read_pipe")) return read(pipe_end(0), buffer, 1);
    if (IS("write_pipe")) {
        if (pipe(fds)) abort();
        fcntl(fds[1], F_SETFL, O_NONBLOCK);
        while (write(fds[1], buffer, sizeof buffer) > 0) {}
        fcntl(fds[1], F_SETFL, 0);
        return write(fds[1], buffer, sizeof buffer);
    }
    if (IS("condition")) { pthread_mutex_lock(&other); return pthread_cond_wait(&condition, &other); }
    if (IS("mutex")) return pthread_mutex_lock(&mutex);
    if (IS("rwlock")) return pthread_rwlock_rdlock(&rwlock);
    if (IS("semaphore")) return sem_wait(&semaphore);
    if (IS("nanosleep")) return nanosleep(&long_time, NULL);
    if (IS("sleep_until")) { clock_gettime(CLOCK_MONOTONIC, &long_time); long_time.tv_sec += 1000; return clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &long_time, NULL); }
    if (IS("poll")) { struct pollfd watched = {.fd = pipe_end(0), .events = POLLIN}; return poll(&watched, 1, 1000000); }
    if (IS("ppoll")) { struct pollfd watched = {.fd = pipe_end(0), .events = POLLIN}; return ppoll(&watched, 1, &long_time, NULL); }
    if (IS("select")) { fd_set set; FD_ZERO(&set); fd = pipe_end(0); FD_SET(fd, &set); struct timeval time = {1000, 0}; return select(fd + 1, &set, NULL, NULL, &time); }
    if (IS("accept")) { fd = socket(AF_INET, SOCK_STREAM, 0); listen(fd, 5); return accept(fd, NULL, NULL); }
    if (IS("recvfrom")) { struct sockaddr_in any = {.sin_family = AF_INET}; fd = socket(AF_INET, SOCK_DGRAM, 0); bind(fd, (struct sockaddr *)&any, sizeof any); return recvfrom(fd, buffer, 1, 0, NULL, NULL); }
    if (IS("msgrcv")) return msgrcv(queue, buffer, 1, 0, 0);
    if (IS("mq_receive")) {
        struct mq_attr attributes = {.mq_maxmsg = 1, .mq_msgsize = 16};
        snprintf(buffer, sizeof buffer, "/dump-%d", getpid());
        mqd_t mq = mq_open(buffer, O_CREAT | O_RDONLY, 0600, &attributes);
        mq_unlink(buffer);
        return mq_receive(mq, buffer, sizeof buffer, NULL);
    }
    if (IS("pause")) return pause();
    if (IS("sigsuspend")) { sigset_t set; sigfillset(&set); return sigsuspend(&set); }
    if (IS("flock")) return flock(open("lock", O_RDWR), LOCK_EX);
    if (IS("fcntl")) { struct flock whole = {.l_type = F_WRLCK}; return fcntl(open("lock", O_RDWR), F_SETLKW, &whole); }
    if (IS("waitpid")) return waitpid(child, NULL, 0);
    if (IS("waitid")) return waitid(P_PID, child, NULL, WEXITED | WNOWAIT);
    if (IS("open_fifo")) return open("fifo", O_RDONLY);
    if (IS("eventfd")) return read(eventfd(0, 0), buffer, 8);
    if (IS("timerfd")) return read(timerfd_create(CLOCK_MONOTONIC, 0), buffer, 8);
    if (IS("inotify")) return read(inotify_init(), buffer, sizeof buffer);
    abort();
}

static const char *const names[] = {
    "epoll_wait", "semop", "sigwaitinfo", "sigtimedwait", "recv", "send", "connect", "connect_unix", "read_pipe",
    "write_pipe", "condition", "mutex", "rwlock", "semaphore", "nanosleep", "sleep_until", "poll", "ppoll", "select",
    "accept", "recvfrom", "msgrcv", "mq_receive", "pause", "sigsuspend", "flock", "fcntl", "waitpid", "waitid",
    "open_fifo", "eventfd", "timerfd", "inotify",
};
#define COUNT (sizeof names / sizeof *names)

static void *block(void *name) {
    pthread_setname_np(pthread_self(), name);
    errno = 0;
    int result = call(name);
    pthread_mutex_lock(&returned_lock);
    int length = strlen(returned);
    snprintf(returned + length, sizeof returned - length, " %s=%d:%s", (char *)name, result, strerrorname_np(errno));
    pthread_mutex_unlock(&returned_lock);
    return NULL;
}

int main(void) {
    sigset_t blocked;
    int locked[2];
    char line[64];
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    sigaddset(&blocked, SIGUSR2);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    if (pipe(locked) || mkfifo("fifo", 0600)) abort();
    close(open("lock", O_CREAT | O_RDWR, 0600));
    child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        struct flock whole = {.l_type = F_WRLCK};
        int fd = open("lock", O_RDWR);
        flock(fd, LOCK_EX);
        fcntl(fd, F_SETLK, &whole);
        if (write(locked[1], "x", 1) != 1) abort();
        close(locked[1]);
        for (;;) pause();
    }
    if (read(locked[0], line, 1) != 1) abort();
    pthread_mutex_lock(&mutex);
    pthread_rwlock_wrlock(&rwlock);
    sem_init(&semaphore, 0, 0);
    queue = msgget(IPC_PRIVATE, 0600);
    semaphores = semget(IPC_PRIVATE, 1, 0600);
    full_listener();
    for (unsigned i = 0; i < COUNT; i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, block, (void *)names[i]);
    }
    printf("ready\n%d %d\n", child, ntohs(full.sin_port));
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        pthread_mutex_lock(&returned_lock);
        printf("returned:%s\n", returned);
        pthread_mutex_unlock(&returned_lock);
        fflush(stdout);
    }
    msgctl(queue, IPC_RMID, NULL);
    semctl(semaphores, 0, IPC_RMID);
    _exit(0);
}
