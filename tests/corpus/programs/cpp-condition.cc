#include <condition_variable>
#include <mutex>

class Cache {
    std::mutex lock;
    std::condition_variable filled;
    bool full = false;

public:
    void wait_until_filled() {
        std::unique_lock<std::mutex> guard(lock);
        filled.wait(guard, [this] { return full; });
    }
};

int main() {
    Cache cache;
    cache.wait_until_filled();
}
