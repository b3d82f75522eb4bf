use std::sync::mpsc::{Receiver, channel};

fn wait_for_config(config: Receiver<String>) -> String {
    config.recv().unwrap()
}

fn main() {
    let (sender, receiver) = channel();
    wait_for_config(receiver);
    drop(sender);
}
