//! Threads that wait for what Rust's standard library has.

use std::sync::{Condvar, Mutex, RwLock, mpsc};

static MUTEX: Mutex<i32> = Mutex::new(0);
static RWLOCK: RwLock<i32> = RwLock::new(0);
static CONDITION: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());

#[inline(never)]
fn wait_for_mutex() {
    *MUTEX.lock().unwrap() += 1; // in wait_for_mutex
}

#[inline(never)]
fn wait_for_rwlock() {
    *RWLOCK.write().unwrap() += 1;
}

#[inline(never)]
fn wait_for_condition() {
    let guard = CONDITION.0.lock().unwrap();
    let _guard = CONDITION.1.wait_while(guard, |done| !*done).unwrap();
}

#[inline(never)]
fn wait_for_channel() {
    let (_sender, receiver) = mpsc::channel::<i32>();
    let _ = receiver.recv();
}

fn main() {
    let _mutex = MUTEX.lock().unwrap();
    let _rwlock = RWLOCK.read().unwrap();
    let waits: [fn(); 4] = [wait_for_mutex, wait_for_rwlock, wait_for_condition, wait_for_channel];
    let threads = waits.map(std::thread::spawn);
    println!("ready");
    for thread in threads {
        thread.join().unwrap();
    }
}
