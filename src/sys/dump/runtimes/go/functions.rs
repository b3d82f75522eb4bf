//! What the tables say of an address: the function, those inlined there, file and line, and how far up the caller's
//! frame begins (`runtime/symtab.go`, `runtime/symtabinl.go`).

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::bytes::{Bytes, number_in};
use super::tables::Tables;

/// No name is longer, in bytes.
const NAME: usize = 2048;
/// Inlined calls at one place, at most.
const INLINED: usize = 64;
/// Steps of one table, at most.
const STEPS: usize = 1 << 16;
/// Functions looked at to find out how they are written.
const SAMPLE: u64 = 2048;
/// The table of the index into the tree of inlined calls, and the data that holds that tree.
const INLINED_INDEX: u32 = 2;
const INLINED_TREE: u32 = 3;

/// A function.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Function {
    /// Its first address.
    pub entry: u64,
    /// Where it is described.
    at: u64,
    name: u32,
    /// Where its tables begin: of the stack pointer, of files, of lines.
    pcsp: u32,
    pcfile: u32,
    pcln: u32,
    tables: u32,
    unit: u32,
    /// What kind of function it is.
    id: u8,
    /// Whether it is the outermost of its stack.
    pub top: bool,
    /// Whether it moves the stack pointer in ways that no table tells.
    pub writes_sp: bool,
    data: u8,
}

/// One function at an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its name, whole.
    pub name: String,
    /// Its source file.
    pub file: Option<String>,
    /// The line in it.
    pub line: Option<u32>,
    /// Whether it was inlined into the next one.
    pub inlined: bool,
    /// Whether it was made by the compiler to call another one.
    pub wrapper: bool,
}

/// The functions of a program.
pub struct Functions<'a> {
    memory: &'a dyn Bytes,
    tables: Tables,
    /// What offsets of data count from.
    base: u64,
    /// The kind of functions that the compiler makes.
    wrapper: Option<u8>,
    places: RefCell<HashMap<u64, Rc<[Place]>>>,
    found: RefCell<HashMap<u64, Option<Rc<Function>>>>,
    deltas: RefCell<HashMap<u64, Option<i32>>>,
}

impl<'a> Functions<'a> {
    /// The functions that these tables tell of.
    pub fn new(memory: &'a dyn Bytes, tables: Tables) -> Functions<'a> {
        let base = tables.function_data[0];
        let (places, found, deltas) = Default::default();
        let mut functions = Functions { memory, tables, base, wrapper: None, places, found, deltas };
        functions.calibrate();
        functions
    }

    /// Where everything lies.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Finds out, from some functions, what differs between versions.
    ///
    /// The kind of compiler-made functions is the one that many functions have: all other kinds are of one function
    /// each. What offsets of data count from is what makes trees of inlined calls name functions.
    fn calibrate(&mut self) {
        let (_, count) = self.tables.index;
        let mut kinds: HashMap<u8, u32> = HashMap::new();
        let mut trees = Vec::new();
        for number in (0..count).step_by((count / SAMPLE).max(1) as usize) {
            let Some(function) = self.numbered(number) else { continue };
            if function.id != 0 {
                *kinds.entry(function.id).or_default() += 1;
            }
            if let Some(offset) = self.data_offset(&function, INLINED_TREE).filter(|_| trees.len() < 64) {
                trees.push(offset);
            }
        }
        self.wrapper =
            kinds.into_iter().filter(|(_, times)| *times > 1).max_by_key(|(_, times)| *times).map(|(id, _)| id);
        let names_functions = |base: u64| trees.iter().filter(|offset| self.names_function(base, **offset)).count();
        let [first, second] = self.tables.function_data;
        if names_functions(second) > names_functions(first) {
            self.base = second;
        }
    }

    /// Whether there is a call at the start of this tree whose name begins behind the end of another name.
    fn names_function(&self, base: u64, offset: u32) -> bool {
        let name = base.checked_add(u64::from(offset)).and_then(|tree| self.inlined(tree, 0)).map(|(name, ..)| name);
        let before = name.and_then(|name| self.tables.names.at(u64::from(name).checked_sub(1)?));
        before.and_then(|at| self.memory.bytes(at, 2)).is_some_and(|bytes| bytes[0] == 0 && bytes[1] != 0)
    }

    /// The function that holds `pc`.
    pub fn at(&self, pc: u64) -> Option<Rc<Function>> {
        if let Some(known) = self.found.borrow().get(&pc) {
            return known.clone();
        }
        let function = self.find(pc).map(Rc::new);
        self.found.borrow_mut().insert(pc, function.clone());
        function
    }

    /// Whether code of Go is there.
    pub fn holds(&self, pc: u64) -> bool {
        self.tables.covered.holds(pc)
    }

    fn find(&self, pc: u64) -> Option<Function> {
        if !self.tables.covered.holds(pc) {
            return None;
        }
        let section = self.tables.sections.iter().find(|section| section.code.holds(pc));
        let offset = match section {
            Some(section) => pc - section.code.start + section.offset,
            None => pc.checked_sub(self.tables.text)?,
        };
        let (mut low, mut high) = (0, self.tables.index.1);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if u64::from(self.index(middle)?.0) <= offset {
                low = middle;
            } else {
                high = middle;
            }
        }
        self.numbered(low).filter(|function| function.entry <= pc)
    }

    /// Of the function with this number: the offset of its code and of its description.
    fn index(&self, number: u64) -> Option<(u32, u32)> {
        let bytes = self.memory.bytes(self.tables.index.0.checked_add(number.checked_mul(8)?)?, 8)?;
        Some((number_in(&bytes, 0)?, number_in(&bytes, 4)?))
    }

    fn numbered(&self, number: u64) -> Option<Function> {
        let (_, offset) = self.index(number)?;
        let at = self.tables.functions.at(u64::from(offset))?;
        let size = self.header();
        let bytes = self.memory.bytes(at, size)?;
        let [id, flags, _, data] = *bytes.last_chunk::<4>()?;
        let field = |index: usize| number_in(&bytes, index * 4);
        Some(Function {
            entry: self.address(field(0)?)?,
            at,
            name: field(1)?,
            pcsp: field(4)?,
            pcfile: field(5)?,
            pcln: field(6)?,
            tables: field(7)?,
            unit: field(8)?,
            id,
            top: flags & 1 != 0,
            writes_sp: flags & 2 != 0,
            data,
        })
    }

    /// The size of a function's description up to its tables, in bytes.
    fn header(&self) -> usize {
        if self.tables.old { 40 } else { 44 }
    }

    /// The address of an offset in the code.
    fn address(&self, offset: u32) -> Option<u64> {
        let offset = u64::from(offset);
        let within = |section: &&super::tables::Section| offset.wrapping_sub(section.offset) < section.code.length;
        match self.tables.sections.iter().find(within) {
            Some(section) => section.code.start.checked_add(offset - section.offset),
            None => self.tables.text.checked_add(offset),
        }
    }

    /// Its name, whole.
    pub fn name(&self, function: &Function) -> Option<String> {
        self.name_at(function.name)
    }

    fn name_at(&self, offset: u32) -> Option<String> {
        let at = self.tables.names.at(u64::from(offset))?;
        self.memory.text(at, NAME).filter(|name| !name.is_empty())
    }

    /// How far above the stack pointer the return address of the function stands when it is at `pc`, in bytes.
    pub fn distance(&self, function: &Function, pc: u64) -> Option<i32> {
        *self.deltas.borrow_mut().entry(pc).or_insert_with(|| {
            // Without a table: code that is not Go's.
            (function.pcsp != 0).then(|| self.value(function, function.pcsp, pc))?
        })
    }

    /// The functions at `pc`, innermost inlined one first; `pc` is that of an instruction, not of a return.
    pub fn places(&self, function: &Function, pc: u64) -> Rc<[Place]> {
        if let Some(known) = self.places.borrow().get(&pc) {
            return Rc::clone(known);
        }
        let places: Rc<[Place]> = self.look_up(function, pc).into();
        self.places.borrow_mut().insert(pc, Rc::clone(&places));
        places
    }

    fn look_up(&self, function: &Function, pc: u64) -> Vec<Place> {
        let tree = self.data_offset(function, INLINED_TREE).and_then(|offset| self.base.checked_add(u64::from(offset)));
        let mut places = Vec::new();
        let mut at = pc;
        for _ in 0..INLINED {
            let Some(tree) = tree else { break };
            let Some(call) = self
                .inlined_index(function, at)
                .and_then(|index| u64::try_from(index).ok())
                .and_then(|index| self.inlined(tree, index))
            else {
                break;
            };
            let (name, parent, id) = call;
            let Some(name) = self.name_at(name) else { break };
            places.push(self.place(function, at, name, id, true));
            let Some(next) = function.entry.checked_add(u64::from(parent)) else { break };
            at = next;
        }
        let name = self.name(function).unwrap_or_else(|| format!("{:#x}", function.entry));
        places.push(self.place(function, at, name, function.id, false));
        places
    }

    /// The function itself at `pc`, without what is inlined there.
    pub fn outermost(&self, function: &Function, pc: u64) -> Option<Place> {
        Some(self.place(function, pc, self.name(function)?, function.id, false))
    }

    fn place(&self, function: &Function, pc: u64, name: String, id: u8, inlined: bool) -> Place {
        let line = self.value(function, function.pcln, pc).and_then(|line| u32::try_from(line).ok());
        let file = self.value(function, function.pcfile, pc).and_then(|file| self.file(function, file));
        let wrapper = Some(id) == self.wrapper;
        Place { name, line: line.filter(|_| file.is_some()), file, inlined, wrapper }
    }

    fn file(&self, function: &Function, number: i32) -> Option<String> {
        let entry = u64::from(function.unit).checked_add(u64::try_from(number).ok()?)?;
        let offset = self.memory.number(self.tables.units.at(entry.checked_mul(4)?)?)?;
        let at = self.tables.files.at(u64::from(offset))?;
        self.memory.text(at, NAME).filter(|file| !file.is_empty())
    }

    fn inlined_index(&self, function: &Function, pc: u64) -> Option<i32> {
        if function.tables <= INLINED_INDEX {
            return None;
        }
        let at = function.at.checked_add(self.header() as u64 + u64::from(INLINED_INDEX) * 4)?;
        match self.memory.number(at)? {
            0 => None,
            offset => self.value(function, offset, pc),
        }
    }

    /// Where the function's data of this kind is, as an offset.
    fn data_offset(&self, function: &Function, kind: u32) -> Option<u32> {
        if kind >= u32::from(function.data) {
            return None;
        }
        let fields = u64::from(function.tables).checked_add(u64::from(kind))?.checked_mul(4)?;
        let at = function.at.checked_add(self.header() as u64)?.checked_add(fields)?;
        self.memory.number(at).filter(|offset| *offset != u32::MAX)
    }

    /// The inlined call `index` of a tree: its name, the offset of an instruction of its caller, its kind.
    fn inlined(&self, tree: u64, index: u64) -> Option<(u32, u32, u8)> {
        let (size, kind, name, parent) = if self.tables.old { (20, 2, 12, 16) } else { (16, 0, 4, 8) };
        let bytes = self.memory.bytes(tree.checked_add(index.checked_mul(size)?)?, size as usize)?;
        Some((number_in(&bytes, name)?, number_in(&bytes, parent)?, *bytes.get(kind)?))
    }

    /// The value that the table at `offset` has for `target`. Such a table is a list of steps: by how much the value
    /// changes, and for how many bytes of code it then holds.
    fn value(&self, function: &Function, offset: u32, target: u64) -> Option<i32> {
        let mut reader = Reader::new(self, offset)?;
        let (mut pc, mut value) = (function.entry, -1i32);
        for step in 0..STEPS {
            let change = reader.varint()?;
            if change == 0 && step > 0 {
                return None;
            }
            // The lowest bit is the sign.
            let change = if change & 1 != 0 { !(change >> 1) } else { change >> 1 };
            value = value.wrapping_add(change as i32);
            pc = pc.checked_add(u64::from(reader.varint()?))?;
            if target < pc {
                return Some(value);
            }
        }
        None
    }
}

/// Reads a table byte by byte.
struct Reader<'a, 'b> {
    functions: &'b Functions<'a>,
    next: u64,
    end: u64,
    bytes: [u8; 64],
    range: std::ops::Range<usize>,
}

impl<'a, 'b> Reader<'a, 'b> {
    fn new(functions: &'b Functions<'a>, offset: u32) -> Option<Reader<'a, 'b>> {
        let pcs = functions.tables.pcs;
        let (next, end) = (pcs.at(u64::from(offset))?, pcs.start.checked_add(pcs.length)?);
        Some(Reader { functions, next, end, bytes: [0; 64], range: 0..0 })
    }

    fn byte(&mut self) -> Option<u8> {
        if let Some(index) = self.range.next() {
            return self.bytes.get(index).copied();
        }
        let count = (self.end.saturating_sub(self.next) as usize).min(self.bytes.len());
        if count == 0 || !self.functions.memory.fill(self.next, &mut self.bytes[..count]) {
            return None;
        }
        self.next += count as u64;
        self.range = 1..count;
        Some(self.bytes[0])
    }

    fn varint(&mut self) -> Option<u32> {
        let mut value = 0u32;
        for shift in (0..35).step_by(7) {
            let byte = self.byte()?;
            value |= u32::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::bytes::testing::Noise;
    use super::super::tables::{Section, Span};
    use super::*;

    fn tables(old: bool, start: u64) -> Tables {
        let span = |part: u64| Span { start: start.wrapping_add(part << 20), length: 1 << 20 };
        Tables {
            old,
            names: span(0),
            units: span(1),
            files: span(2),
            pcs: span(3),
            functions: span(4),
            index: (span(5).start, 5000),
            covered: span(6),
            text: span(6).start,
            sections: vec![Section { offset: 0, code: span(6) }],
            function_data: [span(7).start, span(8).start],
            variables: [span(9), span(10), span(11), span(12)],
        }
    }

    proptest! {
        #[test]
        fn tables_of_noise_end(seed in any::<u64>(), old in any::<bool>(), start in any::<u64>(), pc in 0u64..1 << 20) {
            let memory = Noise::new(seed);
            let functions = Functions::new(&memory, tables(old, start));
            let pc = functions.tables.text.wrapping_add(pc);
            if let Some(function) = functions.at(pc) {
                prop_assert!(function.entry <= pc);
                prop_assert!(functions.places(&function, pc).len() <= INLINED + 1);
                let _ = (functions.distance(&function, pc), functions.outermost(&function, pc));
            }
            prop_assert!(memory.reads.get() < 4_000_000);
        }
    }
}
