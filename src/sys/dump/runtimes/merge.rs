//! One stack out of the native frames of a thread and those that its runtime told.

use super::Run;
use crate::core::facts::Frame;

/// Puts the frames that the runtime told where the native frames of its interpreter stand: what is above one in the stack
/// was called by them (a library, a system call), what is below runs them. They come in pieces, innermost first, one for
/// each call of the interpreter's loop. Without such a native frame they come first, as the runtime is what a reader
/// looks for. `starts` has, for each step up the native stack, its stack pointer and the first of its frames.
pub fn merge(native: Vec<Frame>, starts: &[(u64, usize)], runs: &[Run], runtime: &str) -> Vec<Frame> {
    let runs: Vec<&Run> = runs.iter().filter(|run| !run.frames.is_empty()).collect();
    if runtime == "jvm" && !runs.is_empty() {
        let told: Vec<Frame> = runs.iter().flat_map(|run| &run.frames).cloned().collect();
        return replace(native, &told);
    }
    let mut places = by_stack(&native, starts, &runs).unwrap_or_else(|| by_name(&native, runtime));
    let told = |runs: &[&Run]| -> Vec<Frame> { runs.iter().flat_map(|run| &run.frames).cloned().collect() };
    if places.is_empty() {
        return told(&runs).into_iter().chain(native).collect();
    }
    // A thread that ran may have gone on between the two looks. What it was called from has most likely not changed.
    if runs.len() > 1 && places.len() > runs.len() {
        places.drain(..places.len() - runs.len());
    }
    let last = places.len().saturating_sub(1);
    let mut merged = Vec::with_capacity(native.len() + runs.iter().map(|run| run.frames.len()).sum::<usize>());
    for (index, frame) in native.into_iter().enumerate() {
        if let Some(place) = places.iter().position(|place| *place == index) {
            // More pieces than places: the native stack was too deep to be walked to its end.
            let end = if place == last { runs.len() } else { place + 1 };
            merged.extend(told(runs.get(place..end).unwrap_or_default()));
        }
        merged.push(frame);
    }
    merged
}

/// Puts the frames that the runtime told in place of those of the code that it made for them, which lies in no file; what
/// stands between such (the library that one Java function calls another by) goes with it. Where the native stack does
/// not reach so far, they are what comes next.
fn replace(native: Vec<Frame>, told: &[Frame]) -> Vec<Frame> {
    let made = |frame: &Frame| frame.module.is_none();
    let first = native.iter().position(made).unwrap_or(native.len());
    let after = native.iter().rposition(made).map_or(first, |last| last + 1);
    let mut merged = native;
    merged.splice(first..after, told.iter().cloned());
    merged
}

/// Where calls of the interpreter's loop stand, innermost first, if all pieces tell what these have on the stack.
fn by_stack(native: &[Frame], starts: &[(u64, usize)], runs: &[&Run]) -> Option<Vec<usize>> {
    let place = |run: &&Run| {
        let after = starts.partition_point(|(stack_pointer, _)| Some(*stack_pointer) <= run.stack);
        // What lies above the outermost frame that is known is not known either.
        let (_, start) = starts.get(after.checked_sub(1)?).filter(|_| after < starts.len())?;
        let is_part = start.checked_sub(1).and_then(|above| native.get(above)).is_some_and(is_handler);
        Some(if is_part { start - 1 } else { *start })
    };
    let places: Option<Vec<usize>> = runs.iter().map(place).collect();
    places.filter(|places| !places.is_empty() && places.windows(2).all(|pair| pair[0] < pair[1]))
}

/// The same, by the names of their functions.
fn by_name(native: &[Frame], runtime: &str) -> Vec<usize> {
    let (loops, helpers) = names(runtime);
    let is_one_of = |frame: &Frame, names: &[&str]| {
        // Compilers split functions: `_PyEval_EvalFrameDefault.cold`.
        let function = frame.function.as_deref().and_then(|name| name.split('.').next()).unwrap_or_default();
        names.iter().any(|name| *name == function || name.ends_with('_') && function.starts_with(name))
    };
    let all = |names: &[&str]| -> Vec<usize> {
        native.iter().enumerate().filter(|(_, frame)| is_one_of(frame, names)).map(|(index, _)| index).collect()
    };
    let mut places = all(loops);
    places.retain(|index| {
        index.checked_sub(1).and_then(|above| native.get(above)).is_none_or(|above| !is_handler(above))
    });
    if places.is_empty() {
        let first = all(helpers).into_iter().next();
        places.extend(first.or_else(|| native.iter().position(|frame| is_in_interpreter(frame, runtime))));
    }
    places
}

/// An interpreter built of functions that jump to each other is one of them and, below it, the loop that began.
fn is_handler(frame: &Frame) -> bool {
    frame.function.as_ref().is_some_and(|name| name.starts_with("_TAIL_CALL_"))
}

/// The functions in which a runtime runs code of its language, and others that only lead there.
fn names(runtime: &str) -> (&'static [&'static str], &'static [&'static str]) {
    match runtime {
        "cpython" => (
            &["_PyEval_EvalFrameDefault", "_TAIL_CALL_"],
            &["_PyEval_EvalFrame", "PyEval_EvalFrameEx", "_PyEval_Vector", "PyEval_EvalCode"],
        ),
        "ruby" => (&["vm_exec_core", "vm_exec", "rb_vm_exec"], &[]),
        "php" => (&["execute_ex", "zend_execute"], &[]),
        _ => (&[], &[]),
    }
}

/// Whether a native frame is in the file of the runtime: what there is to go by when its functions have no names.
fn is_in_interpreter(frame: &Frame, runtime: &str) -> bool {
    let Some(module) = frame.module.as_deref() else { return false };
    let name = module.rsplit('/').next().unwrap_or(module);
    runtime == "ruby" && (name.starts_with("libruby") || name.starts_with("ruby"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(names: &[&str]) -> Vec<Frame> {
        names.iter().map(|name| Frame { function: Some((*name).to_owned()), ..Frame::default() }).collect()
    }

    fn run(names: &[&str], stack: Option<u64>) -> Run {
        Run { frames: frames(names), stack }
    }

    fn merged(native: &[&str], runs: &[&[&str]]) -> String {
        let runs: Vec<Run> = runs.iter().map(|names| run(names, None)).collect();
        joined(&merge(frames(native), &[], &runs, "cpython"))
    }

    fn joined(frames: &[Frame]) -> String {
        frames.iter().map(|frame| frame.function.as_deref().unwrap_or("?")).collect::<Vec<_>>().join(" ")
    }

    const LOOP: &str = "_PyEval_EvalFrameDefault";

    #[test]
    fn the_runtimes_frames_stand_between_what_they_call_and_what_runs_them() {
        let told: &[&str] = &["connect", "<module>"];
        let native = ["poll", "sock_connect", "_PyEval_EvalFrameDefault.cold", "main"];
        let all = "poll sock_connect connect <module> _PyEval_EvalFrameDefault.cold main";
        assert_eq!(merged(&native, &[told]), all);
        assert_eq!(merged(&native, &[]), native.join(" "));
        assert_eq!(merged(&["poll"], &[told]), "connect <module> poll");
        assert_eq!(merged(&[], &[told]), "connect <module>");
        let ruby = merge(frames(&["poll", "vm_exec", "f", "vm_exec"]), &[], &[run(told, None)], "ruby");
        assert_eq!(joined(&ruby), "poll connect <module> vm_exec f vm_exec");
    }

    #[test]
    fn without_names_the_stack_tells_where_the_interpreter_stands() {
        // Four steps up the stack, the second of which is two frames, one inlined.
        let native = frames(&["read", "inlined", "?", "f", "g"]);
        let starts = [(100, 0), (200, 1), (300, 3), (400, 4)];
        let merged = |stacks: [u64; 2]| {
            let runs = [run(&["b"], Some(stacks[0])), run(&["a"], Some(stacks[1]))];
            joined(&merge(native.clone(), &starts, &runs, "cpython"))
        };
        assert_eq!(merged([250, 300]), "read b inlined ? a f g");
        // Elsewhere, or in the wrong order: the thread has gone on.
        assert_eq!(merged([50, 300]), "b a read inlined ? f g");
        assert_eq!(merged([250, 450]), "b a read inlined ? f g");
        assert_eq!(merged([350, 250]), "b a read inlined ? f g");
    }

    #[test]
    fn c_code_that_calls_back_stands_between_caller_and_callee() {
        let native = ["read", LOOP, "list_sort", LOOP, "main"];
        let expected = "read key _PyEval_EvalFrameDefault list_sort report <module> _PyEval_EvalFrameDefault main";
        assert_eq!(merged(&native, &[&["key"], &["report", "<module>"]]), expected);
        // The thread has left the innermost call meanwhile, or the native stack was cut off.
        let native = ["read", LOOP, "g", LOOP, "f", LOOP];
        assert_eq!(merged(&native, &[&["b"], &["a"]]), format!("read {LOOP} g b {LOOP} f a {LOOP}"));
        assert_eq!(merged(&["read", LOOP, "f"], &[&["b"], &[], &["a"]]), format!("read b a {LOOP} f"));
    }

    #[test]
    fn an_interpreter_of_many_functions_is_one() {
        let native = ["read", "_TAIL_CALL_CALL", LOOP, "f", LOOP, "_PyEval_Vector"];
        let expected = format!("read b _TAIL_CALL_CALL {LOOP} f a {LOOP} _PyEval_Vector");
        assert_eq!(merged(&native, &[&["b"], &["a"]]), expected);
        assert_eq!(merged(&["read", "_PyEval_Vector"], &[&["b"], &["a"]]), "read b a _PyEval_Vector");
    }

    #[test]
    fn frames_of_java_stand_for_the_code_that_was_made_for_them() {
        let native = |names: &[(&str, &str)]| -> Vec<Frame> {
            let frame = |(function, module): &(&str, &str)| Frame {
                function: (!function.is_empty()).then(|| (*function).to_owned()),
                module: (!module.is_empty()).then(|| (*module).to_owned()),
                ..Frame::default()
            };
            names.iter().map(frame).collect()
        };
        let told = frames(&["java.lang.Thread.sleep", "Shop.main"]);
        let (inner, outer) = (("futex_wait", "libc.so.6"), ("start_thread", "libc.so.6"));
        let whole = native(&[inner, ("", "libjvm.so"), ("", ""), ("", "libjvm.so"), ("Interpreter", ""), outer]);
        let names = |frames: Vec<Frame>| -> Vec<String> {
            frames.into_iter().map(|frame| frame.function.or(frame.module).unwrap_or_default()).collect()
        };
        let wanted = ["futex_wait", "libjvm.so", "java.lang.Thread.sleep", "Shop.main", "start_thread"];
        assert_eq!(names(merge(whole, &[], &[Run { frames: told.clone(), stack: None }], "jvm")), wanted);
        assert_eq!(
            names(merge(native(&[inner]), &[], &[Run { frames: told.clone(), stack: None }], "jvm")),
            ["futex_wait", "java.lang.Thread.sleep", "Shop.main"]
        );
        assert_eq!(merge(native(&[inner, outer]), &[], &[], "jvm"), native(&[inner, outer]));
    }

    #[test]
    fn rubys_frames_stand_where_its_library_begins() {
        let of = |name: &str| Frame { module: Some(format!("/usr/lib/{name}")), ..Frame::default() };
        let native = vec![of("libc.so.6"), of("libruby-3.1.so.3.1"), of("ruby3.1")];
        let told = frames(&["connect", "<main>"]);
        let merged = merge(native, &[], &[Run { frames: told.clone(), stack: None }], "ruby");
        assert_eq!(merged[1..3], told);
    }
}
