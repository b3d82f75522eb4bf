use std::sync::OnceLock;

static SETTINGS: OnceLock<String> = OnceLock::new();

fn settings() -> &'static str {
    SETTINGS.get_or_init(load)
}

fn load() -> String {
    format!("{}/etc", settings())
}

fn main() {
    println!("{}", settings());
}
