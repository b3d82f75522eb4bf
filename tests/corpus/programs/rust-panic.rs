fn load_config() -> String {
    std::fs::read_to_string("/etc/shop/no-such.toml").expect("the configuration")
}

fn main() {
    load_config();
}
