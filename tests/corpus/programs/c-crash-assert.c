#include <assert.h>
#include <stddef.h>

static void load_config(const char *path) { assert(path != NULL); }

int main(void) { load_config(NULL); }
