//! Where V8 keeps what: by the `v8dbg_*` constants that a node binary exports for debuggers, and for what they leave out
//! by what was the same in every version that has the constants around it (V8 10.2 to 14.6, Node 18 to 26).

use std::ops::RangeInclusive;

use super::super::image::Image;

/// V8's version: major and minor.
pub type Version = (i32, i32);

/// Offsets, in bytes, and type numbers.
#[derive(Debug, Clone)]
pub struct Layout {
    /// V8's version.
    pub version: Version,
    /// Types of objects, as their maps tell.
    pub types: Types,
    /// Of a frame, from its frame pointer: the context or the frame's type.
    pub frame_context: i64,
    /// Of a JavaScript frame: its function.
    pub frame_function: i64,
    /// Of a frame of the interpreter: its bytecode array.
    pub frame_bytecode: i64,
    /// Of a frame of the interpreter: where it is in it.
    pub frame_offset: i64,
    /// `JSFunction`: its `SharedFunctionInfo`.
    pub function_shared: u64,
    /// `SharedFunctionInfo`: its name, or its `ScopeInfo`.
    pub shared_name: u64,
    /// `SharedFunctionInfo`: its `Script`.
    pub shared_script: u64,
    /// `Script`: its source, its name; its first line and how it was made follow.
    pub script_source: u64,
    /// `Script`: its name.
    pub script_name: u64,
    /// Whether a `ScopeInfo` begins with its position (V8 13 and later).
    pub scope_begins_with_position: bool,
    /// `BytecodeArray`: its bytes.
    pub bytecodes: u64,
    /// `BytecodeArray`: its table of positions.
    pub positions: u64,
    /// The lowest kind of code that is made for one function: Sparkplug's. Higher kinds are optimised.
    pub baseline: u64,
    /// Offset of the instructions in the object that holds them, of flags and size in `Code`.
    pub code: CodeLayout,
}

/// Type numbers.
#[derive(Debug, Clone)]
pub struct Types {
    /// `SharedFunctionInfo`.
    pub shared: u16,
    /// `ScopeInfo`.
    pub scope: u16,
    /// `Script`.
    pub script: u16,
    /// `BytecodeArray`.
    pub bytecodes: u16,
    /// `InterpreterData`.
    pub interpreter_data: u16,
    /// `Code`.
    pub code: u16,
    /// `InstructionStream`; before V8 11 code held its instructions itself.
    pub instructions: Option<u16>,
    /// Arrays of bytes.
    pub bytes: [u16; 2],
    /// Arrays of objects.
    pub arrays: Vec<u16>,
    /// Contexts: a range of types.
    pub contexts: RangeInclusive<u16>,
}

/// Where `Code` keeps what.
#[derive(Debug, Clone, Copy, Default)]
pub struct CodeLayout {
    /// Of the instructions, from the object that holds them.
    pub instructions: u64,
    /// Data for leaving optimised code, or the bytecode array.
    pub data: u64,
    /// Table of bytecode offsets, or of positions.
    pub table: u64,
    /// Flags; the lowest four bits are the kind.
    pub flags: u64,
    /// Size of the instructions.
    pub size: u64,
}

/// Why the layout is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// There are no constants.
    NoConstants,
    /// The pointers are compressed.
    Compressed,
    /// The constants do not hold together.
    Other,
}

impl Layout {
    /// Whether tables of positions are packed: see `positions`.
    pub fn packed_positions(&self) -> bool {
        self.version >= (14, 0)
    }

    /// Reads the constants.
    pub fn of(image: &Image) -> Result<Layout, Unknown> {
        let number = |name: &str| image.number(&format!("v8dbg_{name}"));
        match number("TaggedSize") {
            Some(8) => {}
            Some(4) => return Err(Unknown::Compressed),
            _ => return Err(Unknown::NoConstants),
        }
        if (number("SmiTag"), number("SmiValueShift"), number("SmiShiftSize")) != (Some(0), Some(1), Some(31)) {
            return Err(Unknown::Other);
        }
        Layout::from(&number, version(image)).ok_or(Unknown::Other)
    }

    fn from(number: &dyn Fn(&str) -> Option<i32>, version: Version) -> Option<Layout> {
        let place = |name: &str| number(name).and_then(|value| u64::try_from(value).ok()).filter(|value| *value < 1024);
        let half = |name: &str| number(name).and_then(|value| u16::try_from(value).ok());
        let kind = |name: &str| half(&format!("type_{name}"));
        let script = ["raw_script__Tagged_Object_", "script_or_debug_info__HeapObject", "script__Tagged_HeapObject_"];
        let shared_script = script.iter().find_map(|name| place(&format!("class_SharedFunctionInfo__{name}")))?;
        let trusted_bytes = kind("TrustedByteArray__TRUSTED_BYTE_ARRAY_TYPE");
        let bytes = kind("ByteArray__BYTE_ARRAY_TYPE")?;
        // Code and its tables have a space of their own since V8 12, and their fields other places.
        let trusted = trusted_bytes.is_some();
        let arrays = [
            "FixedArray__FIXED",
            "TrustedFixedArray__TRUSTED_FIXED",
            "ProtectedFixedArray__PROTECTED_FIXED",
            "WeakFixedArray__WEAK_FIXED",
            "TrustedWeakFixedArray__TRUSTED_WEAK_FIXED",
        ];
        let instructions = kind("InstructionStream__INSTRUCTION_STREAM_TYPE");
        Some(Layout {
            version,
            types: Types {
                shared: kind("SharedFunctionInfo__SHARED_FUNCTION_INFO_TYPE")?,
                scope: kind("ScopeInfo__SCOPE_INFO_TYPE")?,
                script: kind("Script__SCRIPT_TYPE")?,
                bytecodes: kind("BytecodeArray__BYTECODE_ARRAY_TYPE")?,
                interpreter_data: kind("InterpreterData__INTERPRETER_DATA_TYPE")?,
                code: kind("Code__CODE_TYPE")?,
                instructions,
                bytes: [bytes, trusted_bytes.unwrap_or(bytes)],
                contexts: half("FirstContextType")?..=half("LastContextType")?,
                arrays: arrays.iter().filter_map(|name| kind(&format!("{name}_ARRAY_TYPE"))).collect(),
            },
            frame_context: i64::from(number("off_fp_context_or_frame_type")?),
            frame_function: i64::from(number("off_fp_function")?),
            frame_bytecode: i64::from(number("off_fp_bytecode_array")?),
            frame_offset: i64::from(number("off_fp_bytecode_offset")?),
            function_shared: place("class_JSFunction__shared__SharedFunctionInfo")?,
            // Between the two there is the feedback, in every version.
            shared_name: shared_script.checked_sub(16)?,
            shared_script,
            script_source: place("class_Script__source__Object")?,
            script_name: place("class_Script__name__Object")?,
            scope_begins_with_position: number("scopeinfo_idx_first_vars") == Some(5),
            bytecodes: place("class_BytecodeArray__data__uintptr_t")?,
            positions: if trusted { 24 } else { 32 },
            baseline: place("CodeKindBaseline")?,
            code: CodeLayout {
                instructions: match instructions {
                    Some(_) => place("class_InstructionStream__instruction_start__uintptr_t")?,
                    None => place("class_Code__instruction_start__uintptr_t")?,
                },
                data: if trusted { 8 } else { 16 },
                table: if trusted { 16 } else { 24 },
                flags: place("class_Code__flags__uint32_t").unwrap_or(48),
                size: place("class_Code__instruction_size__int").unwrap_or(56),
            },
        })
    }
}

fn version(image: &Image) -> Version {
    let number = |name: &str| image.number(name).filter(|number| (0..1000).contains(number)).unwrap_or(0);
    (number("_ZN2v88internal7Version6major_E"), number("_ZN2v88internal7Version6minor_E"))
}

#[cfg(test)]
impl Layout {
    /// That of Node 20, as far as its own constants tell.
    pub fn of_node_20() -> Layout {
        const NUMBERS: [(&str, i32); 28] = [
            ("class_SharedFunctionInfo__script_or_debug_info__HeapObject", 32),
            ("class_JSFunction__shared__SharedFunctionInfo", 24),
            ("class_Script__source__Object", 8),
            ("class_Script__name__Object", 16),
            ("class_BytecodeArray__data__uintptr_t", 54),
            ("class_InstructionStream__instruction_start__uintptr_t", 16),
            ("type_ByteArray__BYTE_ARRAY_TYPE", 190),
            ("type_FixedArray__FIXED_ARRAY_TYPE", 175),
            ("type_WeakFixedArray__WEAK_FIXED_ARRAY_TYPE", 240),
            ("type_InstructionStream__INSTRUCTION_STREAM_TYPE", 252),
            ("type_SharedFunctionInfo__SHARED_FUNCTION_INFO_TYPE", 262),
            ("type_ScopeInfo__SCOPE_INFO_TYPE", 261),
            ("type_Script__SCRIPT_TYPE", 167),
            ("type_BytecodeArray__BYTECODE_ARRAY_TYPE", 191),
            ("type_InterpreterData__INTERPRETER_DATA_TYPE", 159),
            ("type_Code__CODE_TYPE", 245),
            ("FirstContextType", 205),
            ("LastContextType", 214),
            ("frametype_IrregexpFrame", 27),
            ("off_fp_context_or_frame_type", -8),
            ("off_fp_function", -16),
            ("off_fp_bytecode_array", -32),
            ("off_fp_bytecode_offset", -40),
            ("scopeinfo_idx_first_vars", 3),
            ("CodeKindBaseline", 11),
            ("SmiTag", 0),
            ("SmiValueShift", 1),
            ("SmiShiftSize", 31),
        ];
        let number = |name: &str| NUMBERS.iter().find(|(other, _)| *other == name).map(|(_, number)| *number);
        Layout::from(&number, (11, 3)).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_constants_leave_out_is_as_in_every_version_like_it() {
        let layout = Layout::of_node_20();
        assert_eq!((layout.shared_name, layout.positions, layout.baseline), (16, 32, 11));
        assert_eq!((layout.code.data, layout.code.table, layout.code.flags, layout.code.size), (16, 24, 48, 56));
        assert!(!layout.scope_begins_with_position && !layout.packed_positions());
        assert!(Layout::from(&|_| None, (11, 3)).is_none());
        assert!(Layout::from(&|_| Some(-1), (11, 3)).is_none());
    }
}
