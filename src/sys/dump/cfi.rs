//! Call frame information: how to get from the registers of a function to those of its caller.

use gimli::{
    BaseAddresses, CfaRule, CieOrFde, DebugFrame, EhFrame, EhFrameHdr, EndianSlice, EvaluationResult, Expression,
    FrameDescriptionEntry, LittleEndian, Location, RegisterRule, UnwindContext, UnwindExpression, UnwindSection, Value,
};

use super::module::{Module, Section};
use super::registers::{COUNT, PC, Registers, SP};

type Slice<'a> = EndianSlice<'a, LittleEndian>;
type Fde<'a> = FrameDescriptionEntry<Slice<'a>>;

/// x86_64 addresses have eight bytes.
const ADDRESS_SIZE: u8 = 8;
/// FDEs kept of a section without a table of its own.
const INDEX_LIMIT: usize = 2_000_000;

/// FDEs by address: start, end, offset of the entry in its section.
#[derive(Debug, Default)]
pub struct Index {
    eh: Vec<(u64, u64, usize)>,
    debug: Vec<(u64, u64, usize)>,
}

/// How one register of the caller is found.
#[derive(Debug, Clone)]
enum Rule {
    Undefined,
    Same,
    Offset(i64),
    ValueOffset(i64),
    Register(u16),
    Expression(Vec<u8>),
    ValueExpression(Vec<u8>),
    Constant(u64),
}

/// How the canonical frame address is found.
#[derive(Debug, Clone)]
enum Cfa {
    Register(u16, i64),
    Expression(Vec<u8>),
}

/// What is to be done at one program counter, in a form that owns its data.
#[derive(Debug, Clone)]
pub struct Row {
    cfa: Cfa,
    rules: [Rule; COUNT],
    /// Where the function starts, in the file's own terms.
    pub start: u64,
    /// Whether this is a signal frame: the caller was interrupted, so its program counter is exact.
    pub signal: bool,
    encoding: gimli::Encoding,
}

/// Why a row could not be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// This register is needed and not known.
    Unknown(usize),
    /// Memory that is not there, or an expression that makes no sense.
    Broken,
}

/// What follows from a row. It lives on the stack for a moment only, so its size is no matter.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The registers of the caller.
    Caller(Registers),
    /// There is no caller: the return address is declared to be undefined.
    Bottom,
}

/// Where `.eh_frame` starts, as `.eh_frame_hdr` says.
pub fn frames_address(hdr: &Section) -> Option<u64> {
    let bases = BaseAddresses::default().set_eh_frame_hdr(hdr.address);
    let parsed = EhFrameHdr::new(&hdr.data, LittleEndian).parse(&bases, ADDRESS_SIZE).ok()?;
    parsed.eh_frame_ptr().direct().ok()
}

/// The row for `address` (in the file's own terms).
pub fn find(module: &Module, address: u64, context: &mut UnwindContext<usize>) -> Option<Row> {
    if let Some(section) = &module.eh_frame {
        let mut frames = EhFrame::new(&section.data, LittleEndian);
        frames.set_address_size(ADDRESS_SIZE);
        let mut bases = BaseAddresses::default().set_eh_frame(section.address);
        if let Some(hdr) = &module.eh_frame_hdr {
            bases = bases.set_eh_frame_hdr(hdr.address);
        }
        let by_table = module.eh_frame_hdr.as_ref().map(|hdr| by_table(hdr, section, &frames, &bases, address));
        let fde = by_table.unwrap_or_else(|| {
            let offset = lookup(&module.index.get_or_init(|| Index::of(module)).eh, address)?;
            frames.fde_from_offset(&bases, offset.into(), EhFrame::cie_from_offset).ok()
        });
        if let Some(row) = fde.and_then(|fde| row(&frames, &bases, &fde, address, context)) {
            return Some(row);
        }
    }
    let section = module.debug_frame.as_ref()?;
    let mut frames = DebugFrame::new(&section.data, LittleEndian);
    frames.set_address_size(ADDRESS_SIZE);
    let bases = BaseAddresses::default();
    let offset = lookup(&module.index.get_or_init(|| Index::of(module)).debug, address)?;
    let fde = frames.fde_from_offset(&bases, offset.into(), DebugFrame::cie_from_offset).ok()?;
    row(&frames, &bases, &fde, address, context)
}

/// By the binary search table of `.eh_frame_hdr`.
fn by_table<'a>(
    hdr: &Section,
    section: &Section,
    frames: &EhFrame<Slice<'a>>,
    bases: &BaseAddresses,
    address: u64,
) -> Option<Fde<'a>> {
    let parsed = EhFrameHdr::new(&hdr.data, LittleEndian).parse(bases, ADDRESS_SIZE).ok()?;
    let pointer = parsed.table()?.lookup(address, bases).ok()?.direct().ok()?;
    let offset = usize::try_from(pointer.checked_sub(section.address)?).ok()?;
    if offset >= section.data.len() {
        return None;
    }
    let fde = frames.fde_from_offset(bases, offset.into(), EhFrame::cie_from_offset).ok()?;
    fde.contains(address).then_some(fde)
}

impl Index {
    fn of(module: &Module) -> Index {
        let mut index = Index::default();
        if let (Some(section), None) = (&module.eh_frame, &module.eh_frame_hdr) {
            let mut frames = EhFrame::new(&section.data, LittleEndian);
            frames.set_address_size(ADDRESS_SIZE);
            let bases = BaseAddresses::default().set_eh_frame(section.address);
            index.eh = entries(&frames, &bases, EhFrame::cie_from_offset);
        }
        if let Some(section) = &module.debug_frame {
            let mut frames = DebugFrame::new(&section.data, LittleEndian);
            frames.set_address_size(ADDRESS_SIZE);
            index.debug = entries(&frames, &BaseAddresses::default(), DebugFrame::cie_from_offset);
        }
        index
    }
}

fn entries<'a, S, F>(section: &S, bases: &BaseAddresses, get_cie: F) -> Vec<(u64, u64, usize)>
where
    S: UnwindSection<Slice<'a>>,
    F: FnMut(&S, &BaseAddresses, S::Offset) -> gimli::Result<gimli::CommonInformationEntry<Slice<'a>>> + Copy,
{
    let mut found = Vec::new();
    let mut entries = section.entries(bases);
    while let Ok(Some(entry)) = entries.next() {
        if let CieOrFde::Fde(partial) = entry
            && let Ok(fde) = partial.parse(get_cie)
            && found.len() < INDEX_LIMIT
        {
            found.push((fde.initial_address(), fde.end_address(), fde.offset()));
        }
    }
    found.sort_unstable();
    found
}

fn lookup(index: &[(u64, u64, usize)], address: u64) -> Option<usize> {
    let after = index.partition_point(|(start, ..)| *start <= address);
    let (_, end, offset) = index[..after].last()?;
    (address < *end).then_some(*offset)
}

fn row<'a, S: UnwindSection<Slice<'a>>>(
    section: &S,
    bases: &BaseAddresses,
    fde: &Fde<'a>,
    address: u64,
    context: &mut UnwindContext<usize>,
) -> Option<Row> {
    let found = fde.unwind_info_for_address(section, bases, context, address).ok()?;
    let bytes = |expression: &UnwindExpression<usize>| -> Vec<u8> {
        expression.get(section).map(|expression| expression.0.slice().to_vec()).unwrap_or_default()
    };
    let cfa = match found.cfa() {
        CfaRule::RegisterAndOffset { register, offset } => Cfa::Register(register.0, *offset),
        CfaRule::Expression(expression) => Cfa::Expression(bytes(expression)),
    };
    let rules = std::array::from_fn(|number| match found.register(gimli::Register(number as u16)) {
        None if number == SP || number == PC => Rule::Undefined,
        None | Some(RegisterRule::SameValue) => Rule::Same,
        Some(RegisterRule::Offset(offset)) => Rule::Offset(offset),
        Some(RegisterRule::ValOffset(offset)) => Rule::ValueOffset(offset),
        Some(RegisterRule::Register(register)) => Rule::Register(register.0),
        Some(RegisterRule::Expression(expression)) => Rule::Expression(bytes(&expression)),
        Some(RegisterRule::ValExpression(expression)) => Rule::ValueExpression(bytes(&expression)),
        Some(RegisterRule::Constant(value)) => Rule::Constant(value),
        Some(_) => Rule::Undefined,
    });
    let signal = fde.is_signal_trampoline();
    Some(Row { cfa, rules, start: fde.initial_address(), signal, encoding: fde.cie().encoding() })
}

impl Row {
    /// The registers of the caller, given those of the function; `read` reads a word of its memory.
    pub fn apply(&self, registers: &Registers, read: &dyn Fn(u64) -> Option<u64>) -> Result<Step, Failure> {
        if matches!(self.rules[PC], Rule::Undefined) {
            return Ok(Step::Bottom);
        }
        let cfa = match &self.cfa {
            Cfa::Register(number, offset) => {
                let number = usize::from(*number);
                registers.get(number).ok_or(Failure::Unknown(number))?.wrapping_add_signed(*offset)
            }
            Cfa::Expression(bytes) => self.evaluate(bytes, None, registers, read)?,
        };
        let mut caller = Registers::default();
        for (number, rule) in self.rules.iter().enumerate() {
            // A register that cannot be had is only a failure when it is the program counter.
            match self.value(number, rule, cfa, registers, read) {
                Ok(value) => caller.set(number, value),
                Err(failure) if number == PC => return Err(failure),
                Err(_) => {}
            }
        }
        if matches!(self.rules[SP], Rule::Undefined) {
            caller.set(SP, Some(cfa));
        }
        match caller.get(PC) {
            Some(0) => Ok(Step::Bottom),
            Some(_) => Ok(Step::Caller(caller)),
            None => Err(Failure::Broken),
        }
    }

    fn value(
        &self,
        number: usize,
        rule: &Rule,
        cfa: u64,
        registers: &Registers,
        read: &dyn Fn(u64) -> Option<u64>,
    ) -> Result<Option<u64>, Failure> {
        let at = |address: u64| read(address).map(Some).ok_or(Failure::Broken);
        match rule {
            Rule::Undefined => Ok(None),
            // Scratch registers are not kept by calls, whatever the rule's default is.
            Rule::Same if self.signal || Registers::is_callee_saved(number) => Ok(registers.get(number)),
            Rule::Same => Ok(None),
            Rule::Offset(offset) => at(cfa.wrapping_add_signed(*offset)),
            Rule::ValueOffset(offset) => Ok(Some(cfa.wrapping_add_signed(*offset))),
            Rule::Register(other) => Ok(registers.get(usize::from(*other))),
            Rule::Expression(bytes) => at(self.evaluate(bytes, Some(cfa), registers, read)?),
            Rule::ValueExpression(bytes) => self.evaluate(bytes, Some(cfa), registers, read).map(Some),
            Rule::Constant(value) => Ok(Some(*value)),
        }
    }

    fn evaluate(
        &self,
        bytes: &[u8],
        initial: Option<u64>,
        registers: &Registers,
        read: &dyn Fn(u64) -> Option<u64>,
    ) -> Result<u64, Failure> {
        let broken = |_| Failure::Broken;
        let mut evaluation = Expression(EndianSlice::new(bytes, LittleEndian)).evaluation(self.encoding);
        evaluation.set_max_iterations(1000);
        if let Some(initial) = initial {
            evaluation.set_initial_value(initial);
        }
        let mut state = evaluation.evaluate().map_err(broken)?;
        loop {
            state = match state {
                EvaluationResult::Complete => break,
                EvaluationResult::RequiresRegister { register, .. } => {
                    let number = usize::from(register.0);
                    let value = registers.get(number).ok_or(Failure::Unknown(number))?;
                    evaluation.resume_with_register(Value::Generic(value)).map_err(broken)?
                }
                EvaluationResult::RequiresMemory { address, size, .. } => {
                    let word = read(address).ok_or(Failure::Broken)?;
                    let word = if size >= 8 { word } else { word & ((1 << (8 * u32::from(size))) - 1) };
                    evaluation.resume_with_memory(Value::Generic(word)).map_err(broken)?
                }
                EvaluationResult::RequiresCallFrameCfa => {
                    evaluation.resume_with_call_frame_cfa(initial.ok_or(Failure::Broken)?).map_err(broken)?
                }
                _ => return Err(Failure::Broken),
            };
        }
        match evaluation.result().first().map(|piece| &piece.location) {
            Some(Location::Address { address }) => Ok(*address),
            Some(Location::Value { value: Value::Generic(value) }) => Ok(*value),
            _ => Err(Failure::Broken),
        }
    }
}
