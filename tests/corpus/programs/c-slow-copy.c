#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int main(void) {
    static char block[1 << 16];
    int fd = open("import.data", O_RDWR | O_CREAT, 0600);
    for (;;) {
        for (int i = 0; i < 64; i++) pwrite(fd, block, sizeof block, 0);
        usleep(1000);
    }
}
