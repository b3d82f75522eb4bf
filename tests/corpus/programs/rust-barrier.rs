use std::sync::Barrier;

fn wait_for_workers(barrier: &Barrier) {
    barrier.wait();
}

fn main() {
    wait_for_workers(&Barrier::new(2));
}
