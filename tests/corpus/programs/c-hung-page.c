#include <fcntl.h>
#include <sys/mman.h>

static int look_up(const char *table) { return table[100]; }

int main(void) {
    int fd = open("hung/table", O_RDONLY);
    return look_up(mmap(0, 4096, PROT_READ, MAP_SHARED, fd, 0));
}
