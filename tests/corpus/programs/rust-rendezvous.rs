use std::sync::mpsc::{SyncSender, sync_channel};

fn publish(events: &SyncSender<u32>) {
    events.send(1).unwrap();
}

fn main() {
    let (events, _receiver) = sync_channel(0);
    publish(&events);
}
