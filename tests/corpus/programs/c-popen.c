#include <stdio.h>

static int read_version(void) {
    char line[64];
    FILE *command = popen("sleep 600; echo 1.0", "r");
    return fgets(line, sizeof line, command) != NULL;
}

int main(void) { return read_version(); }
