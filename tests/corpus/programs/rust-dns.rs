use std::net::ToSocketAddrs;

fn find_database() -> usize {
    ("db.shop.internal", 5432).to_socket_addrs().map(Iterator::count).unwrap_or(0)
}

fn main() {
    find_database();
}
