#include <netdb.h>
#include <stddef.h>

static int find_database(void) {
    struct addrinfo *found;
    return getaddrinfo("db.shop.internal", "5432", NULL, &found);
}

int main(void) { return find_database(); }
