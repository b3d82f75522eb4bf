#include <mutex>
#include <shared_mutex>

static std::shared_mutex table;

static void replace_table() {
    std::unique_lock<std::shared_mutex> writing(table);
}

static void *volatile keep;

static void reload() {
    std::shared_lock<std::shared_mutex> reading(table);
    replace_table();
    keep = &reading;
}

int main() { reload(); }
