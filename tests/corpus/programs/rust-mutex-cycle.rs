use std::sync::{Arc, Barrier, Mutex};
use std::thread;

fn take(first: &Mutex<u32>, second: &Mutex<u32>, both: &Barrier) {
    let _first = first.lock().unwrap();
    both.wait();
    let _second = second.lock().unwrap();
}

fn main() {
    let (one, other) = (Arc::new(Mutex::new(1)), Arc::new(Mutex::new(2)));
    let both = Arc::new(Barrier::new(2));
    let (a, b, c) = (one.clone(), other.clone(), both.clone());
    let first = thread::spawn(move || take(&a, &b, &c));
    let second = thread::spawn(move || take(&other, &one, &both));
    first.join().unwrap();
    second.join().unwrap();
}
