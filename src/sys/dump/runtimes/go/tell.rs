//! From what was read to what is told: stacks with names, equal ones shared.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use super::functions::{Functions, Place};
use super::shown;
use super::stack::{Step, Walk};
use crate::core::facts::{CreatedBy, FoundBy, Frame};

/// Gives frames their names.
pub struct Teller<'a> {
    functions: &'a Functions<'a>,
    stacks: RefCell<HashMap<Walk, Arc<[Frame]>>>,
    makers: RefCell<HashMap<u64, Option<Frame>>>,
    starts: RefCell<HashMap<u64, Arc<str>>>,
}

impl<'a> Teller<'a> {
    /// A teller for a program.
    pub fn new(functions: &'a Functions<'a>) -> Teller<'a> {
        let (stacks, makers, starts) = Default::default();
        Teller { functions, stacks, makers, starts }
    }

    /// The stack as Go prints it: without the runtime's own functions, or with them when there are no others.
    pub fn stack(&self, walk: Walk) -> Arc<[Frame]> {
        if let Some(known) = self.stacks.borrow().get(&walk) {
            return Arc::clone(known);
        }
        let mut frames = self.frames(&walk, false);
        if frames.is_empty() {
            frames = self.frames(&walk, true);
        }
        let frames: Arc<[Frame]> = frames.into();
        self.stacks.borrow_mut().insert(walk, Arc::clone(&frames));
        frames
    }

    /// The frames of a stack, with all of the runtime's own or with those that Go shows.
    pub fn frames(&self, walk: &Walk, all: bool) -> Vec<Frame> {
        let mut frames = Vec::new();
        let mut callee = String::new();
        for step in &walk.inner {
            self.add(*step, all, &mut callee, &mut frames);
        }
        if walk.left_out > 0 {
            let function = Some(format!("...{} frames left out...", walk.left_out));
            frames.push(Frame { function, found: FoundBy::Runtime, ..Frame::default() });
        }
        for step in &walk.outer {
            self.add(*step, all, &mut callee, &mut frames);
        }
        frames
    }

    fn add(&self, step: Step, all: bool, callee: &mut String, frames: &mut Vec<Frame>) {
        let Some(function) = self.functions.at(step.pc) else { return };
        for place in self.functions.places(&function, step.lookup).iter() {
            if all || shown::is_shown(place, frames.is_empty(), callee) {
                frames.push(frame(place, step.pc));
            }
            callee.clone_from(&place.name);
        }
    }

    /// Where a goroutine was made, by the address behind the call; `task` is the one that made it.
    pub fn created_by(&self, made: u64, task: Option<u64>) -> Option<CreatedBy> {
        let mut makers = self.makers.borrow_mut();
        let frame = makers.entry(made).or_insert_with(|| {
            let function = self.functions.at(made)?;
            let lookup = if made > function.entry { made - 1 } else { made };
            let place = self.functions.outermost(&function, lookup)?;
            shown::is_shown(&place, false, "").then(|| frame(&place, made))
        });
        frame.clone().map(|frame| CreatedBy { task, frame })
    }

    /// The name of the function that starts here; empty when there is none.
    pub fn start(&self, pc: u64) -> Arc<str> {
        let mut starts = self.starts.borrow_mut();
        let name = starts.entry(pc).or_insert_with(|| {
            let function = self.functions.at(pc);
            function.and_then(|function| self.functions.name(&function)).unwrap_or_default().into()
        });
        Arc::clone(name)
    }
}

fn frame(place: &Place, address: u64) -> Frame {
    Frame {
        function: Some(shown::name(&place.name)),
        file: place.file.clone(),
        line: place.line,
        module: None,
        address,
        language: Some("go".into()),
        inlined: place.inlined,
        near: false,
        found: FoundBy::Runtime,
    }
}
