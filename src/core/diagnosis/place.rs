//! One thing that runs or waits: a thread of the kernel, or a task of a runtime (a goroutine, an asyncio task).

use std::time::Duration;

use crate::core::facts::{Frame, ProcessFacts, TaskFacts, ThreadFacts, WaitingOn};

use super::{VerdictFrame, frames, words};

/// A task that sleeps says so by its state alone.
static SLEEP: WaitingOn = WaitingOn::Sleep { duration: None };

/// One thread or task in its process: where something waits.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The process.
    pub process: &'a ProcessFacts,
    /// Its thread; for a task that no thread runs, the process's main one.
    pub thread: &'a ThreadFacts,
    /// The task, if it is one.
    pub task: Option<&'a TaskFacts>,
}

impl<'a> Place<'a> {
    /// A thread.
    pub fn of_thread(process: &'a ProcessFacts, thread: &'a ThreadFacts) -> Place<'a> {
        Place { process, thread, task: None }
    }

    /// The thread, if what the kernel shows of it is about this place: not for a task that is parked.
    pub fn on_thread(&self) -> Option<&'a ThreadFacts> {
        let parked = self.task.is_some_and(|task| task.thread.is_none());
        // All tasks of an event loop wait in its one thread.
        (!parked || self.process.runtime == "cpython").then_some(self.thread)
    }

    /// What it waits on, as far as the kernel or the runtime shows it. For a task of an event loop that awaits others of
    /// its kind it is what the loop waits on.
    pub fn wait(&self) -> Option<&'a WaitingOn> {
        let Some(task) = self.task else { return self.thread.waiting_on.as_ref() };
        match &task.waiting_on {
            Some(WaitingOn::Tasks { .. }) | None if self.on_thread().is_some() => self.thread.waiting_on.as_ref(),
            None if task.state.starts_with("sleep") => Some(&SLEEP),
            own => own.as_ref(),
        }
    }

    /// What the task awaits in its event loop: the tasks, and what it is in the runtime's words.
    pub fn awaits(&self) -> Option<(&'a [u64], &'a str)> {
        match &self.task?.waiting_on {
            Some(WaitingOn::Tasks { tasks, what }) => Some((tasks, what)),
            _ => None,
        }
    }

    /// Its stack, innermost first.
    pub fn frames(&self) -> &'a [Frame] {
        match self.task {
            Some(task) if !task.frames.is_empty() || self.on_thread().is_none() => &task.frames,
            _ => &self.thread.frames,
        }
    }

    /// How long it has waited, where that is known.
    pub fn waited(&self) -> Option<Duration> {
        match self.task {
            Some(task) => task.waited.or_else(|| task.thread.and(self.thread.waited)),
            None => self.thread.waited,
        }
    }

    /// Whether it is where its process's own main function runs.
    pub fn is_main(&self) -> bool {
        match self.task {
            Some(task) => self.process.runtime == "go" && task.id == 1,
            None => self.thread.tid == self.process.pid,
        }
    }

    /// The innermost frame of the user's own code.
    pub fn frame(&self) -> Option<VerdictFrame> {
        frames::users(self.frames())
    }

    /// It for a sentence: `api (pid 4711)`, ``thread 4712 `worker` of api (pid 4711)``, `goroutine 1`.
    pub fn who(&self) -> String {
        match (self.task, self.is_main(), self.process.threads.len()) {
            (Some(_), ..) if self.process.runtime == "go" => self.number(),
            (None, true, 0 | 1) => words::process(self.process),
            (None, true, _) => format!("the main thread of {}", words::process(self.process)),
            _ => format!("{} of {}", self.number(), words::process(self.process)),
        }
    }

    /// It alone: ``thread 4712 `worker` ``, `goroutine 1`, ``task `Task-3` ``.
    pub fn number(&self) -> String {
        if let Some(task) = self.task {
            return words::task(self.process, task);
        }
        let name = self.thread.runtime_name.as_deref().unwrap_or(&self.thread.name);
        match name {
            "" => format!("thread {}", self.thread.tid),
            name => format!("thread {} `{name}`", self.thread.tid),
        }
    }

    /// It as a member of a list: the tid, or the task's name.
    pub fn short(&self) -> String {
        self.task.map_or_else(|| self.thread.tid.to_string(), |task| words::task(self.process, task))
    }

    /// ` in lock_b() at deadlock.c:23`, or nothing when no frame of the user's own is known.
    pub fn in_frame(&self) -> String {
        self.frame().map(|frame| format!(" in {}", words::frame(&frame))).unwrap_or_default()
    }

    /// `has waited 29.8 s`, or `waits` when it is not known how long.
    pub fn has_waited(&self) -> String {
        match self.waited() {
            Some(time) => format!("has waited {}", words::span(time)),
            None => "waits".to_owned(),
        }
    }

    /// The system call it is in, for evidence.
    pub fn call(&self) -> Option<String> {
        self.on_thread()?.syscall.as_ref().map(|call| format!("system call: {call}"))
    }

    /// The share of one CPU that it used between the samples, if two were taken far enough apart to say.
    pub fn cpu_share(&self) -> Option<f64> {
        let thread = self.on_thread()?;
        share(thread.cpu.growth()?, thread.cpu.apart)
    }

    /// The share of the time between the samples in which it ran or waited for a free CPU: near 1 for one that computes
    /// without a pause, however many others want the CPU.
    pub fn runnable_share(&self) -> Option<f64> {
        let thread = self.on_thread()?;
        let queued = thread.queued.growth().unwrap_or(0);
        share(thread.cpu.growth()?.saturating_add(queued), thread.cpu.apart)
    }

    /// What tells it from all others: process, thread and task.
    pub fn key(&self) -> (i32, i32, Option<u64>) {
        let tid = if self.task.is_some() { 0 } else { self.thread.tid };
        (self.process.pid, tid, self.task.map(|task| task.id))
    }

    /// Whether it is the same one.
    pub fn same(&self, other: &Place<'_>) -> bool {
        self.key() == other.key()
    }
}

/// `millis` as a share of `apart`. The kernel counts CPU time in ticks of 10 ms, so less than 20 ms tells nothing.
pub fn share(millis: u64, apart: Duration) -> Option<f64> {
    (apart >= Duration::from_millis(20)).then(|| millis as f64 / (apart.as_secs_f64() * 1000.0))
}
