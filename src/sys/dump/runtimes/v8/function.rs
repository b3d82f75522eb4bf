//! Functions and scripts: what a `SharedFunctionInfo` knows.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::heap::{Heap, Object, small};
use super::source::Source;

/// Names longer than this are no names, in characters.
const NAME: usize = 1024;
/// Names that a scope keeps in place at most; more are in a table (`kScopeInfoMaxInlinedLocalNamesSize`).
const NAMES_IN_PLACE: u64 = 75;
/// Sources longer than this are not read, in characters.
const SOURCE: usize = 32 << 20;

/// A function of a script.
#[derive(Debug, Clone)]
pub struct Function {
    /// Its name as the source has it, or as it can be told from where it is put; `None` for one without.
    pub name: Option<String>,
    /// Its script.
    pub script: Rc<Script>,
    /// Where it begins and ends in the script.
    pub range: Option<(u32, u32)>,
}

impl Function {
    /// Whether it begins and ends on one line.
    pub fn is_on_one_line(&self) -> bool {
        let lines = self.range.map(|(start, end)| (self.script.line(start), self.script.line(end)));
        lines.is_some_and(|(first, last)| first.is_some() && first == last)
    }
}

/// A script.
#[derive(Debug)]
pub struct Script {
    /// Its name: a path, a `file:` URL, `node:…`, or nothing for code made by `eval`.
    pub name: Option<String>,
    /// Lines before its first, when it is a part of a file.
    pub lines_before: u32,
    /// Its source, where that can be read.
    pub source: Option<Source>,
}

impl Script {
    /// The file it was read from, or Node's own name for it.
    pub fn file(&self) -> Option<String> {
        let name = self.name.as_deref()?;
        match name.strip_prefix("file://") {
            Some(path) => Some(unescape(path)),
            None => Some(name.to_owned()),
        }
    }

    /// The line of a position, from 1 on.
    pub fn line(&self, position: u32) -> Option<u32> {
        self.source.as_ref()?.line(position)?.checked_add(self.lines_before)
    }
}

/// A path without the escapes of a URL.
fn unescape(path: &str) -> String {
    let mut out = Vec::new();
    let mut rest = path.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match digits.filter(|_| *first == b'%').and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                rest = &after[2..];
            }
            None => {
                out.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// All functions seen so far, each read once.
#[derive(Default)]
pub struct Functions {
    functions: RefCell<HashMap<Object, Option<Rc<Function>>>>,
    scripts: RefCell<HashMap<Object, Rc<Script>>>,
}

impl Functions {
    /// The function of a `SharedFunctionInfo`; `None` when it is none.
    pub fn get(&self, heap: Heap, shared: Object) -> Option<Rc<Function>> {
        if let Some(known) = self.functions.borrow().get(&shared) {
            return known.clone();
        }
        let function = self.read(heap, shared).map(Rc::new);
        self.functions.borrow_mut().insert(shared, function.clone());
        function
    }

    fn read(&self, heap: Heap, shared: Object) -> Option<Function> {
        let types = &heap.layout.types;
        if heap.kind(shared)? != types.shared {
            return None;
        }
        let script = heap.field_of(shared, heap.layout.shared_script, types.script)?;
        let named = heap.field(shared, heap.layout.shared_name);
        let scope = named.filter(|named| heap.kind(*named) == Some(types.scope));
        let parts = scope.and_then(|scope| scope_parts(heap, scope));
        let text = |object: Option<Object>| Some(heap.string(object?, NAME)?.lossy()).filter(|name| !name.is_empty());
        let name = match scope {
            Some(_) => parts.as_ref().and_then(|parts| text(parts.name).or_else(|| text(parts.inferred))),
            None => text(named),
        };
        let range = parts.and_then(|parts| parts.range).or_else(|| uncompiled_range(heap, shared));
        Some(Function { name, script: self.script(heap, script), range })
    }

    fn script(&self, heap: Heap, script: Object) -> Rc<Script> {
        if let Some(known) = self.scripts.borrow().get(&script) {
            return Rc::clone(known);
        }
        let name = heap.field(script, heap.layout.script_name).and_then(|name| heap.string(name, 1 << 14));
        let source = heap.field(script, heap.layout.script_source).and_then(|source| heap.string(source, SOURCE));
        let before = heap.word(script, heap.layout.script_name + 8).and_then(small).unwrap_or(0);
        let read = Rc::new(Script {
            name: name.map(|name| name.lossy()).filter(|name| !name.is_empty()),
            lines_before: u32::try_from(before).unwrap_or(0),
            source: source.map(|text| Source::new(&text)),
        });
        self.scripts.borrow_mut().insert(script, Rc::clone(&read));
        read
    }
}

/// Where a function that was never called begins and ends: its data tells, at the place of its code. The numbers are
/// two of 32 bits behind the name that was guessed for it.
fn uncompiled_range(heap: Heap, shared: Object) -> Option<(u32, u32)> {
    let own = [8, 16].into_iter().take(if heap.layout.shared_script == 40 { 2 } else { 1 });
    own.filter_map(|offset| heap.field(shared, offset)).find_map(|data| {
        let guessed = heap.field(data, 8)?;
        heap.kind(guessed).filter(|kind| *kind < 128)?;
        let (start, end) = (heap.half(data, 16)?, heap.half(data, 20)?);
        (start < end && end < 1 << 30).then_some((start, end))
    })
}

/// What a `ScopeInfo` tells of its function.
#[derive(Debug, Default)]
struct ScopeParts {
    name: Option<Object>,
    inferred: Option<Object>,
    range: Option<(u32, u32)>,
}

/// Reads a `ScopeInfo`: a record of parts, some of which are left out as its flags tell (`objects/scope-info.tq`).
fn scope_parts(heap: Heap, scope: Object) -> Option<ScopeParts> {
    let number = |offset: u64| heap.word(scope, offset).and_then(small).and_then(|number| u32::try_from(number).ok());
    let first = heap.layout.scope_begins_with_position;
    let flags = if first { heap.half(scope, 8)? } else { number(8)? };
    let locals = u64::from(number(24)?);
    if locals > 1 << 20 {
        return None;
    }
    let kind = flags & 0xf;
    // Scopes have other numbers since their position comes first: (module, those that have a position).
    let (module, mut at) = if first { (5, 48) } else { (3, 32) };
    let mut parts = ScopeParts::default();
    if first {
        parts.range = number(32).zip(number(40));
        at += if kind == module { 8 } else { 0 };
    }
    at += 8 * if locals < NAMES_IN_PLACE { locals } else { 1 };
    at += 8 * locals;
    at += if flags & 1 << 10 != 0 { 8 } else { 0 };
    if flags >> 12 & 3 != 0 {
        parts.name = heap.field(scope, at);
        at += 16;
    }
    if flags & 1 << 14 != 0 {
        parts.inferred = heap.field(scope, at);
        at += 8;
    }
    // Class, eval, function, module and script scopes have one.
    if !first && kind <= 4 {
        parts.range = number(at).zip(number(at + 8));
    }
    parts.range = parts.range.filter(|(start, end)| start <= end && *end < 1 << 30);
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_paths_without_the_escapes_of_a_url() {
        let file = |name: &str| Script { name: Some(name.into()), lines_before: 0, source: None }.file().unwrap();
        assert_eq!(file("/srv/app.js"), "/srv/app.js");
        assert_eq!(file("file:///srv/a%20b/%C3%A9.mjs"), "/srv/a b/é.mjs");
        assert_eq!(file("file:///srv/100%.mjs"), "/srv/100%.mjs");
        assert_eq!(file("node:internal/main"), "node:internal/main");
    }
}
