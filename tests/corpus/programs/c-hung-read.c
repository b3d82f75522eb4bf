#include <fcntl.h>
#include <unistd.h>

static int read_settings(void) {
    char text[64];
    return read(open("hung/settings", O_RDONLY), text, sizeof text);
}

int main(void) { return read_settings(); }
