use std::sync::{Arc, Condvar, Mutex};

fn wait_until_loaded(pair: &(Mutex<bool>, Condvar)) {
    let mut loaded = pair.0.lock().unwrap();
    while !*loaded {
        loaded = pair.1.wait(loaded).unwrap();
    }
}

fn main() {
    wait_until_loaded(&Arc::new((Mutex::new(false), Condvar::new())));
}
