//! Which functions of a stack Go itself shows to a person, and by what name (`showframe` and `printFuncName` in
//! `runtime/traceback.go`).

use super::functions::Place;

/// The name as Go prints it: type arguments are left out.
pub fn name(name: &str) -> String {
    if name == "runtime.gopanic" {
        return "panic".into();
    }
    let (Some(open), Some(close)) = (name.find('['), name.rfind(']')) else { return name.to_owned() };
    let Some(inside) = name.get(open + 1..close) else { return name.to_owned() };
    // Two lists side by side, as in a method of a generic type that is generic itself, are left out each.
    let mut depth = 1;
    let mut between = None;
    for (index, character) in inside.char_indices() {
        match character {
            '[' => depth += 1,
            ']' => depth -= 1,
            _ => continue,
        }
        if depth == 0 {
            between = Some(index);
            break;
        }
    }
    let middle = between.and_then(|end| {
        let rest = &inside[end + 1..];
        Some(&rest[..rest.find('[')?])
    });
    match middle {
        Some(middle) => format!("{}[...]{middle}[...]{}", &name[..open], &name[close + 1..]),
        None => format!("{}[...]{}", &name[..open], &name[close + 1..]),
    }
}

/// Whether the function is shown. `first` says that none was shown before; `callee` is the whole name of the function
/// that it called, shown or not.
pub fn is_shown(place: &Place, first: bool, callee: &str) -> bool {
    let name = place.name.as_str();
    // A wrapper says nothing, but a panic in one does.
    if place.wrapper && !matches!(callee, "runtime.gopanic" | "runtime.sigpanic" | "runtime.panicwrap") {
        return false;
    }
    match name {
        "runtime.gopanic" => !first,
        "runtime.runFinalizers" | "runtime.runCleanups" => true,
        _ => name.contains('.') && name.strip_prefix("runtime.").is_none_or(is_exported),
    }
}

/// Whether a name of the runtime's is one that programs can call: `GC`, `(*Frames).Next`.
fn is_exported(name: &str) -> bool {
    let upper = |text: &str| text.starts_with(|first: char| first.is_ascii_uppercase());
    match name.rsplit_once('.') {
        Some((receiver, method)) => {
            let receiver = receiver.strip_prefix("(*").and_then(|rest| rest.strip_suffix(')')).unwrap_or(receiver);
            upper(receiver) && upper(method)
        }
        None => upper(name),
    }
}

/// Whether a goroutine that starts in this function is one of the runtime's own.
pub fn is_system(start: &str, state: &str) -> bool {
    match start {
        "runtime.main" | "runtime.handleAsyncEvent" | "runtime.corostart" => false,
        // They are the program's while they run what it gave them.
        "runtime.runfinq" | "runtime.runFinalizers" => state == "finalizer wait",
        "runtime.runCleanups" => state == "cleanup wait",
        _ => start.starts_with("runtime."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str, wrapper: bool) -> Place {
        Place { name: name.into(), file: None, line: None, inlined: false, wrapper }
    }

    #[test]
    fn names_as_go_prints_them() {
        for (whole, printed) in [
            ("main.main", "main.main"),
            ("main.(*Stack[go.shape.int]).Push", "main.(*Stack[...]).Push"),
            ("main.f[map[string][]int]", "main.f[...]"),
            ("main.(*T[go.shape.int]).M[go.shape.string]", "main.(*T[...]).M[...]"),
            ("main.f[...]", "main.f[...]"),
            ("runtime.gopanic", "panic"),
            ("odd]name[", "odd]name["),
            ("", ""),
        ] {
            assert_eq!(name(whole), printed, "{whole}");
        }
    }

    #[test]
    fn the_runtimes_own_functions_are_not_shown() {
        for (name, shown) in [
            ("main.main", true),
            ("runtime.gopark", false),
            ("runtime.GC", true),
            ("runtime.(*Frames).Next", true),
            ("runtime.(*mheap).alloc", false),
            ("internal/runtime/maps.(*Map).Get", true),
            ("_cgo_something", false),
            ("time.Sleep", true),
        ] {
            assert_eq!(is_shown(&place(name, false), true, ""), shown, "{name}");
        }
        assert!(!is_shown(&place("main.T.M", true), true, "main.(*T).M"));
        assert!(is_shown(&place("main.T.M", true), true, "runtime.panicwrap"));
        assert!(!is_shown(&place("runtime.gopanic", false), true, ""));
        assert!(is_shown(&place("runtime.gopanic", false), false, ""));
    }

    #[test]
    fn the_runtimes_own_goroutines() {
        assert!(is_system("runtime.bgsweep", "GC sweep wait"));
        assert!(!is_system("runtime.main", "select"));
        assert!(is_system("runtime.runfinq", "finalizer wait"));
        assert!(!is_system("runtime.runfinq", "chan receive"));
        assert!(!is_system("main.main.func1", "running"));
    }
}
