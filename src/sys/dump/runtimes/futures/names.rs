//! What a program's symbols tell of the futures that its tasks run.

use rustc_demangle::try_demangle;

/// How every symbol of the function that polls a task begins, whatever the mangling: its path, in the crate `tokio`.
pub const POLL: &[u8] = b"5tokio7runtime4task3raw4poll";

/// What stands in older symbols of what is made for the records of tasks.
pub const RECORDS: &[u8] = b"tokio..runtime..task..core..";

/// A symbol as Rust writes it, without the hash; `None` when it is none of Rust's.
pub fn plain(symbol: &str) -> Option<String> {
    Some(format!("{:#}", try_demangle(symbol).ok()?))
}

/// The future that a function of the runtime is made for, if its name tells: that of newer symbols does for all of them
/// (`…::raw::poll::<F, S>`), that of older ones where it drops the record of a task (`drop_in_place<…::core::Cell<F,S>>`).
pub fn future(function: &str) -> Option<&str> {
    const FUNCTIONS: [&str; 2] = ["tokio::runtime::task::raw::poll::<", "tokio::runtime::task::raw::dealloc::<"];
    const RECORDS: [&str; 4] = ["Cell<", "Core<", "CoreStage<", "Stage<"];
    if let Some(list) = FUNCTIONS.iter().find_map(|start| function.strip_prefix(start)) {
        return first_argument(list).map(unboxed);
    }
    // Methods of older symbols have the letters of their parameters there.
    let (_, dropped) = function.strip_prefix("core::ptr::drop_in_place")?.split_once("tokio::runtime::task::core::")?;
    RECORDS.iter().find_map(|record| first_argument(dropped.strip_prefix(record)?)).map(unboxed)
}

/// A future without the box in which the runtime keeps a large one.
fn unboxed(future: &str) -> &str {
    let inner = future.strip_prefix("core::pin::Pin<alloc::boxed::Box<").and_then(|rest| rest.strip_suffix(">>"));
    inner.filter(|inner| !inner.starts_with("dyn ")).unwrap_or(future)
}

/// What stands in front of the first comma, or the end of the list, that is in no brackets of its own.
fn first_argument(list: &str) -> Option<&str> {
    let (mut depth, mut before) = (0usize, ' ');
    for (at, c) in list.char_indices() {
        match c {
            '<' | '(' | '[' | '{' => depth += 1,
            // The arrow of a function's type closes nothing.
            '>' if before == '-' => {}
            ',' | '>' if depth == 0 => return Some(list[..at].trim()).filter(|name| !name.is_empty()),
            '>' | ')' | ']' | '}' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        before = c;
    }
    None
}

/// The part of a future's symbol that is its own: the name of the function that it is the code of, with its length, as all
/// manglings have it. `None` for one that is no such code.
pub fn own_part(future: &str) -> Option<String> {
    let simple = future.chars().all(|c| c.is_alphanumeric() || "_:{}#".contains(c));
    let name = future.rsplit("::").find(|part| !part.starts_with('{')).filter(|name| simple && !name.is_empty())?;
    Some(format!("{}{name}", name.len()))
}

/// Whether a future is only known to be one, and what it is stands in its own table.
pub fn is_boxed(future: &str) -> bool {
    future.starts_with("core::pin::Pin<alloc::boxed::Box<dyn ")
}

/// Whether a function only leads on to what frees a task's record, or to what it runs.
pub fn leads_on(symbol: &str) -> bool {
    ["_ZN5tokio7runtime4task", "_ZN5tokio4loom3std", "_ZN4core3", "_ZN3std9panicking", "_ZN3std5panic", "__rust_try"]
        .iter()
        .any(|start| symbol.starts_with(start))
}

/// Whether it is the function of a task's table that frees its record, or else one that drops its future.
pub fn frees(symbol: &str) -> Option<usize> {
    ["4task3raw7dealloc", "4task3raw8shutdown"].iter().position(|name| symbol.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(symbol: &str) -> Option<String> {
        future(&plain(symbol)?).map(str::to_owned)
    }

    #[test]
    fn newer_symbols_tell_the_future_in_the_function_that_polls_it() {
        let symbol = "_RINvNtNtNtCscjvlx4lHsyk_5tokio7runtime4task3raw4pollNCNvCsl99HvcoTLzy_12asynchronous4tick0\
                      INtNtCslNYArtu3iFV_5alloc4sync3ArcNtNtNtB6_9scheduler14current_thread6HandleEEBS_";
        assert!(symbol.as_bytes().windows(POLL.len()).any(|part| part == POLL));
        assert_eq!(told(symbol).as_deref(), Some("asynchronous::tick::{closure#0}"));
    }

    #[test]
    fn older_symbols_tell_it_where_its_record_is_dropped() {
        let symbol = "_ZN4core3ptr176drop_in_place$LT$tokio..runtime..task..core..Cell$LT$shop..tick..$u7b$$u7b$closure\
                      $u7d$$u7d$$C$alloc..sync..Arc$LT$tokio..runtime..scheduler..current_thread..Handle$GT$$GT$$GT$\
                      17hd5a56c84a2becd85E";
        assert_eq!(told(symbol).as_deref(), Some("shop::tick::{{closure}}"));
        assert_eq!(told("_ZN5tokio7runtime4task3raw4poll17h17d4a39194b464c1E"), None);
        assert_eq!(told("main"), None);
        let letters = "tokio::runtime::task::core::Cell<T,S>::new";
        assert_eq!(future(letters), None);
        let boxed = "core::ptr::drop_in_place<alloc::boxed::Box<tokio::runtime::task::core::Cell<shop::a,S>>>";
        assert_eq!(future(boxed), Some("shop::a"));
        let large = "tokio::runtime::task::raw::poll::<core::pin::Pin<alloc::boxed::Box<shop::a>>, S>";
        assert_eq!(future(large), Some("shop::a"));
    }

    #[test]
    fn the_code_of_a_future_is_looked_for_by_its_function() {
        for (future, part) in [
            ("shop::tick::{{closure}}", Some("4tick")),
            ("shop::serve::{closure#0}::{closure#3}", Some("5serve")),
            ("shop::Worker::run::{closure#0}", Some("3run")),
            ("tracing::instrument::Instrumented<shop::a>", None),
            ("", None),
        ] {
            assert_eq!(own_part(future).as_deref(), part, "{future}");
        }
        assert!(is_boxed("core::pin::Pin<alloc::boxed::Box<dyn core::future::future::Future+Output = ()>>"));
    }

    #[test]
    fn the_first_argument_ends_outside_of_its_own_brackets() {
        let of = |rest: &str| first_argument(rest).map(str::to_owned);
        assert_eq!(of("a::B<c, d>, e>").as_deref(), Some("a::B<c, d>"));
        assert_eq!(of("fn(a, b) -> c>").as_deref(), Some("fn(a, b) -> c"));
        assert_eq!(of("(a, [b; 3]),c>>").as_deref(), Some("(a, [b; 3])"));
        for broken in ["", "a", ">", ", b>", ")", "a)b>"] {
            assert_eq!(of(broken), None, "{broken}");
        }
    }
}
