#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static pthread_mutex_t accounts = PTHREAD_MUTEX_INITIALIZER, orders = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t both;

static void *load_accounts(void *unused) {
    pthread_mutex_lock(&accounts);
    pthread_barrier_wait(&both);
    pthread_mutex_lock(&orders);
    return unused;
}

static void *load_orders(void *unused) {
    pthread_mutex_lock(&orders);
    pthread_barrier_wait(&both);
    pthread_mutex_lock(&accounts);
    return unused;
}

int main(void) {
    pthread_t one, other;
    pthread_barrier_init(&both, NULL, 2);
    pthread_create(&one, NULL, load_accounts, NULL);
    pthread_create(&other, NULL, load_orders, NULL);
    pthread_join(one, NULL);
    pthread_join(other, NULL);
}
