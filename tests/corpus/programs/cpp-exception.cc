#include <stdexcept>

static void open_store() { throw std::runtime_error("store: no such directory /var/lib/shop"); }

int main() { open_store(); }
