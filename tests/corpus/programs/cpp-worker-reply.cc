#include <arpa/inet.h>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <sys/socket.h>
#include <thread>

static std::mutex lock;
static std::condition_variable done;

static void load_prices() {
    sockaddr_in peer{};
    peer.sin_family = AF_INET;
    peer.sin_port = htons(6379);
    inet_pton(AF_INET, std::getenv("CORPUS_HOST"), &peer.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    char reply[16];
    connect(fd, reinterpret_cast<sockaddr *>(&peer), sizeof peer);
    recv(fd, reply, sizeof reply, 0);
}

int main() {
    std::thread worker(load_prices);
    std::unique_lock<std::mutex> held(lock);
    done.wait(held);
}
