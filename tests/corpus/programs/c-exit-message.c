#include <stdio.h>

int main(void) {
    fprintf(stderr, "fatal: config key \"database.host\" is null\n");
    return 1;
}
