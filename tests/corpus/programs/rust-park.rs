use std::thread;

fn wait_for_start() {
    loop {
        thread::park();
    }
}

fn main() {
    let worker = thread::spawn(wait_for_start);
    worker.join().unwrap();
}
