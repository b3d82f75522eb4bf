#include <future>

static int load_settings(std::future<int> &settings) { return settings.get(); }

int main() {
    std::promise<int> promise;
    auto settings = promise.get_future();
    return load_settings(settings);
}
