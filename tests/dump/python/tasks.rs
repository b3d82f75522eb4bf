//! Tasks of asyncio.

use launcher::core::facts::{Frame, WaitingOn};

use super::{Python, Running, pythons, read};

/// What the interpreter says of one task: id, name, whether it has begun, its frames, the tasks it awaits.
type TaskTold = (u64, String, bool, Vec<(String, String, u32)>, Vec<u64>);

#[test]
fn tasks_stand_and_wait_where_the_interpreter_says() {
    for python in pythons() {
        let mut running = Running::start(&python, "tasks.py");
        let (theirs, tid, busy, busy_tid): (Vec<TaskTold>, i32, u64, i32) =
            serde_json::from_str(&running.victim.line()).unwrap();
        let running = running.ready(3);
        let process = read(running.pid());
        assert_eq!(process.dump_error, None);
        let task = |id: u64| {
            let found = process.tasks.iter().find(|task| task.id == id);
            found.unwrap_or_else(|| panic!("no task {id:#x} of {}: {:#?}", python.version, process.tasks))
        };
        for (id, name, begun, frames, awaited) in &theirs {
            let ours = task(*id);
            assert_eq!(ours.name.as_deref(), Some(name.as_str()), "{}", python.version);
            assert_eq!(ours.state, if *begun { "pending" } else { "ready to run" }, "{name} of {}", python.version);
            assert_eq!(ours.thread, Some(tid), "{name} of {}", python.version);
            assert_eq!(placed(&ours.frames), *frames, "{name} of {}", python.version);
            match &ours.waiting_on {
                None => assert!(!begun, "{name} of {}", python.version),
                Some(WaitingOn::Tasks { tasks, what }) => {
                    let mut tasks = tasks.clone();
                    tasks.sort_unstable();
                    assert_eq!(tasks, *awaited, "{name} of {}: {what}", python.version);
                    check_what(name, what, &python);
                }
                other => panic!("{name} of {} waits on {other:?}", python.version),
            }
        }
        let ours = task(busy);
        assert_eq!((ours.state.as_str(), ours.thread), ("running", Some(busy_tid)), "{}", python.version);
        assert_eq!(process.tasks.len(), theirs.len() + 1, "{}: {:#?}", python.version, process.tasks);
        println!("{}: {} tasks as the interpreter has them", python.version, theirs.len());
    }
}

fn placed(frames: &[Frame]) -> Vec<(String, String, u32)> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    frames.iter().map(|frame| (text(&frame.function), text(&frame.file), frame.line.unwrap_or(0))).collect()
}

/// What a task is said to await, for those of which it is known.
fn check_what(name: &str, what: &str, python: &Python) {
    let qualified = python.minor() >= 11;
    let expected = match name {
        "at in_event" => ["locks.wait", "Event.wait"],
        "at in_queue" => ["queues.get", "Queue.get"],
        "at in_lock" => ["locks.acquire", "Lock.acquire"],
        "at in_receive" => ["streams.readline", "StreamReader.readline"],
        "at in_wait" => ["tasks.wait", "wait"],
        "at in_deep" | "at in_generator" => ["tasks.sleep", "sleep"],
        "at in_task" => ["Task", "Task"],
        "at in_gather" => ["gather", "gather"],
        "at in_future" | "at in_awaitable" => ["Future", "Future"],
        "at in_group" => ["TaskGroup.__aexit__", "TaskGroup.__aexit__"],
        _ => return,
    };
    assert_eq!(what, expected[usize::from(qualified)], "{name} of {}", python.version);
}
