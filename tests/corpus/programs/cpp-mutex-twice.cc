#include <mutex>

static std::mutex registry;

static void add_default() { std::lock_guard<std::mutex> guard(registry); }

static void setup() {
    std::lock_guard<std::mutex> guard(registry);
    add_default();
}

int main() { setup(); }
