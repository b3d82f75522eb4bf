//! What `launcher dump` shows of threads and tasks.

use std::time::Duration;

use crate::core::facts::{
    ChannelFacts, CreatedBy, FoundBy, Frame, LockFacts, ProcessFacts, TaskFacts, ThreadFacts, WaitingOn,
};

use super::layout::Style;
use super::stacks::{self, Shown};

fn told(function: &str, file: &str, line: u32) -> Frame {
    Frame { found: FoundBy::Runtime, ..native(function, Some((file, line)), None) }
}

fn native(function: &str, place: Option<(&str, u32)>, module: Option<&str>) -> Frame {
    Frame {
        function: Some(function.to_owned()),
        file: place.map(|(file, _)| file.to_owned()),
        line: place.map(|(_, line)| line),
        module: module.map(str::to_owned),
        found: FoundBy::Cfi,
        ..Frame::default()
    }
}

fn thread(tid: i32, name: &str, frames: Vec<Frame>) -> ThreadFacts {
    ThreadFacts { tid, name: name.to_owned(), state: 'S', frames, ..ThreadFacts::default() }
}

fn process(runtime: &str, threads: Vec<ThreadFacts>, tasks: Vec<TaskFacts>) -> ProcessFacts {
    let command = vec!["./shop".to_owned()];
    ProcessFacts { pid: 10, parent: 1, command, runtime: runtime.to_owned(), threads, tasks, ..ProcessFacts::default() }
}

fn text(process: &ProcessFacts, focus: Option<i32>, all: bool) -> String {
    stacks::processes(std::slice::from_ref(process), focus, Shown { all, style: Style::default() }).join("\n")
}

/// Frames of libc and of the interpreter around those of the program.
fn python(function: &str, line: u32) -> Vec<Frame> {
    let binary = Some("/usr/bin/python3.11");
    let mut frames = vec![native("poll", None, Some("/usr/lib/libc.so.6"))];
    frames.extend(["sock_call_ex", "sock_connect", "method_vectorcall"].map(|name| native(name, None, binary)));
    frames.push(told(function, "/srv/shop/db.py", line));
    frames.push(told("<module>", "/srv/shop/main.py", 9));
    frames.extend(["_PyEval_EvalFrameDefault", "Py_RunMain", "main"].map(|name| native(name, None, binary)));
    frames.push(native("__libc_start_main", None, Some("/usr/lib/libc.so.6")));
    frames
}

#[test]
fn the_interpreter_s_own_frames_are_one_line() {
    let process = process("cpython", vec![thread(10, "python3", python("connect", 42))], Vec::new());
    assert_eq!(
        text(&process, None, false),
        "\
process 10  ./shop  (parent 1, cpython)
  thread 10 `python3`  S
      0  poll  (libc.so.6)
         … 3 frames of the interpreter
      4  connect  /srv/shop/db.py:42
      5  <module>  /srv/shop/main.py:9
         … 4 frames of the interpreter
"
    );
    let all = text(&process, None, true);
    assert!(all.contains("      2  sock_connect  (python3.11)\n") && !all.contains('…'), "{all}");
    // Of a program without a runtime that was read nothing is folded.
    let native = self::process("native", vec![thread(10, "python3", python("f", 1)[6..].to_vec())], Vec::new());
    assert!(text(&native, None, false).contains("      3  __libc_start_main  (libc.so.6)"));
}

#[test]
fn a_recursion_is_one_line() {
    let mut frames: Vec<Frame> = (0..1200).map(|_| native("walk", Some(("/s/tree.c", 7)), None)).collect();
    frames.push(native("main", Some(("/s/tree.c", 20)), None));
    let process = process("native", vec![thread(10, "tree", frames)], Vec::new());
    let folded = text(&process, None, false);
    assert!(folded.contains("      0  walk  /s/tree.c:7  × 1 200\n    1200  main  /s/tree.c:20\n"), "{folded}");
    assert_eq!(text(&process, None, true).matches("walk").count(), 1200);
}

#[test]
fn goroutines_come_before_the_threads_that_carry_them_and_the_runtime_s_own_last() {
    let park = || told("runtime.gopark", "/usr/lib/go-1.19/src/runtime/proc.go", 363);
    let task = |id, state: &str, function: &str| TaskFacts {
        id,
        state: state.to_owned(),
        waited: Some(Duration::from_millis(29_800)),
        frames: vec![park(), told(function, "/src/app/main.go", 42)].into(),
        ..TaskFacts::default()
    };
    let mut tasks: Vec<TaskFacts> = (100..10_097).map(|id| task(id, "chan receive", "main.worker")).collect();
    tasks.push(TaskFacts { system: true, frames: vec![park()].into(), ..task(2, "GC worker (idle)", "") });
    let from = CreatedBy { task: Some(1), frame: told("main.main", "/src/app/main.go", 30) };
    tasks.push(TaskFacts {
        waiting_on: Some(WaitingOn::Channels {
            channels: vec![ChannelFacts { address: 0xc000_1000, sending: true, length: 5, capacity: 5 }],
        }),
        created_by: Some(from),
        ..task(7, "chan send", "main.fill")
    });
    tasks.push(task(1, "IO wait", "main.initRedis"));
    let parked = vec![native("runtime.futex.abi0", None, Some("/srv/shop"))];
    let process = process("go", vec![thread(10, "shop", parked)], tasks);
    let text = text(&process, None, false);
    let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part:?} is not in\n{text}"));
    let order = [
        "  goroutine 7 [chan send, 29.8 s]  sends to channel <0xc0001000> (5 of 5)\n",
        "         created by main.main  /src/app/main.go:30 in goroutine 1\n",
        "  goroutine 1 [IO wait, 29.8 s]\n      0  runtime.gopark",
        "  goroutines 100, 101, 102, 103, 104, …  × 9 997 [chan receive, 29.8 s]\n",
        "  thread 10 `shop`  S\n",
        "  goroutine 2 [GC worker (idle), 29.8 s]  of the runtime itself\n",
    ]
    .map(at);
    assert!(order.is_sorted(), "{order:?} in\n{text}");
}

#[test]
fn a_thread_without_own_code_comes_after_the_tasks_though_the_verdict_names_it() {
    let main = thread(10, "shop", vec![native("runtime.futex", Some(("/usr/lib/go/src/runtime/sys.s", 5)), None)]);
    let task = TaskFacts { id: 1, frames: vec![told("main.main", "/srv/main.go", 9)].into(), ..TaskFacts::default() };
    let text = text(&process("go", vec![main], vec![task]), Some(10), false);
    assert!(text.find("goroutine 1") < text.find("thread 10"), "{text}");
}

#[test]
fn what_the_runtime_calls_threads_and_locks_is_shown() {
    let lock = |address, held| LockFacts { address, class: "java.lang.Object".to_owned(), held };
    let java = |tid, name: &str, state: &str, locks| ThreadFacts {
        runtime_name: Some(name.to_owned()),
        runtime_state: Some(state.to_owned()),
        locks,
        ..thread(tid, "java", vec![told("com.shop.Main.run", "Main.java", 7)])
    };
    let blocked = "BLOCKED (on object monitor)";
    let waiting = "WAITING (parking)";
    let threads = vec![
        java(11, "left", blocked, vec![lock(0xa1, true), lock(0xb2, false)]),
        java(12, "right", blocked, vec![lock(0xb2, true), lock(0xa1, false)]),
        java(13, "pool-1", waiting, vec![lock(0xc3, false)]),
        java(14, "pool-2", waiting, vec![lock(0xc3, false)]),
    ];
    let text = text(&process("jvm", threads, Vec::new()), None, false);
    for part in [
        "  thread 11 \"left\"  S [BLOCKED (on object monitor)]\n       holds <0xa1> (a java.lang.Object)\n       waits for <0xb2>",
        "  thread 12 \"right\"  S",
        "  threads 13, 14 \"pool-1\", \"pool-2\"  × 2  S [WAITING (parking)]\n       waits for <0xc3> (a java.lang.Object)\n",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

#[test]
fn tasks_with_names_tell_what_they_await() {
    let task = |id, name: &str, on| TaskFacts {
        id,
        name: Some(name.to_owned()),
        state: "pending".to_owned(),
        waiting_on: on,
        frames: vec![told("serve", "/srv/shop/main.py", id as u32)].into(),
        ..TaskFacts::default()
    };
    let awaits = WaitingOn::Tasks { tasks: vec![2], what: String::new() };
    let lock = WaitingOn::RuntimeLock { address: 0x10, class: "asyncio.Lock".into(), owner: None, owner_task: Some(1) };
    let tasks = vec![task(1, "Task-1", Some(awaits)), task(2, "Task-2", Some(lock))];
    let text = text(&process("cpython", Vec::new(), tasks), None, false);
    assert!(text.contains("  task \"Task-1\" [pending]  awaits task \"Task-2\"\n"), "{text}");
    assert!(
        text.contains("  task \"Task-2\" [pending]  waits for asyncio.Lock <0x10>, held by task \"Task-1\"\n"),
        "{text}"
    );
}

#[test]
fn the_program_s_own_code_comes_before_the_runtime_s_threads() {
    let idle = |tid| thread(tid, "GC Thread", vec![native("WorkGang::run", None, Some("/opt/jdk/lib/libjvm.so"))]);
    let own = thread(15, "java", vec![told("com.shop.Main.run", "Main.java", 7)]);
    let mut threads = vec![idle(10), own, idle(16), thread(17, "x", Vec::new())];
    let text = |threads: &[ThreadFacts], focus| text(&process("jvm", threads.to_vec(), Vec::new()), focus, false);
    let first = |text: &str| text.lines().nth(1).unwrap().to_owned();
    assert!(first(&text(&threads, None)).starts_with("  thread 15 "));
    assert!(first(&text(&threads, Some(17))).starts_with("  thread 17 "));
    threads.clear();
    assert_eq!(text(&threads, None).lines().count(), 1);
}

#[test]
fn counts_have_their_thousands_apart() {
    let text = [0, 12, 999, 1000, 9997, 123_456, 1_234_567].map(stacks::count);
    assert_eq!(text, ["0", "12", "999", "1 000", "9 997", "123 456", "1 234 567"]);
}
