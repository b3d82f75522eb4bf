#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct route {
    char *name;
};

__attribute__((noinline)) static void drop_route(struct route *route) { free(route->name); }

int main(void) {
    fprintf(stderr, "loading routes\n");
    struct route one = {.name = malloc(4000)};
    char *after = strdup("after");
    strcpy(one.name, "checkout");
    fprintf(stderr, "%s %s\n", one.name, after);
    struct route copy = one;
    drop_route(&one);
    drop_route(&copy);
    puts("ready");
}
