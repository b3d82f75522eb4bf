fn spin_until(done: &std::sync::atomic::AtomicBool) {
    while !done.load(std::sync::atomic::Ordering::Relaxed) {}
}

fn main() {
    spin_until(&std::sync::atomic::AtomicBool::new(false));
}
