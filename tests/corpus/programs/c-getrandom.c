#include <stdio.h>
#include <sys/random.h>

static void make_session_key(unsigned char *key, size_t size) { getrandom(key, size, 0); }

int main(void) {
    unsigned char key[32];
    make_session_key(key, sizeof key);
    printf("%d\n", key[0]);
}
