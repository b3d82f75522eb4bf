use std::sync::RwLock;

fn refresh(cache: &RwLock<u32>) {
    let old = cache.read().unwrap();
    *cache.write().unwrap() = *old + 1;
}

fn main() {
    refresh(&RwLock::new(1));
}
