#include <arpa/inet.h>
#include <cstdlib>
#include <future>
#include <unistd.h>

static int fetch_settings() {
    sockaddr_in peer = {};
    peer.sin_family = AF_INET;
    peer.sin_port = htons(6379);
    inet_pton(AF_INET, getenv("CORPUS_HOST"), &peer.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    char byte = 0;
    connect(fd, reinterpret_cast<sockaddr *>(&peer), sizeof peer);
    read(fd, &byte, 1);
    return byte;
}

int main() {
    auto settings = std::async(std::launch::async, fetch_settings);
    return settings.get();
}
