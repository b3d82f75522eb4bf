#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>

static std::string require_variable(const char *name) {
    const char *value = std::getenv(name);
    if (!value) throw std::runtime_error(std::string(name) + " is not set");
    return value;
}

int main() {
    std::thread loader([] { require_variable("SHOP_API_KEY"); });
    loader.join();
}
