//! An explanation that a rule proposes, and how several are put in order.

use super::view::Place;
use super::{Cause, Confidence, Verdict};

/// How tightly the cause holds what it explains; the order is from loose to tight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grip {
    /// Nothing is in the way that could be seen: an idle loop, a condition that may yet be signalled.
    Idle,
    /// It fits, but says little of why.
    Weak,
    /// One of several things that would let it go on.
    Soft,
    /// It cannot go on before this one thing happens.
    Hard,
    /// It cannot go on at all.
    Firm,
}

/// Where the explained wait lies, seen from the service's main line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Position {
    /// At the end of the main line: from the first thread of the first process along what that one waits for.
    Line,
    /// In another thread or process.
    Beside,
    /// In the service as a whole: its ports, its output, its ending.
    Service,
}

/// An explanation that a rule proposes.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The verdict it would be.
    pub verdict: Verdict,
    /// How tightly it holds.
    pub grip: Grip,
    /// Where it lies.
    pub position: Position,
}

impl Candidate {
    /// An explanation without evidence yet, on the service as a whole.
    pub fn new(cause: Cause, confidence: Confidence, grip: Grip, summary: impl Into<String>) -> Candidate {
        let verdict = Verdict {
            cause,
            confidence,
            summary: summary.into(),
            evidence: Vec::new(),
            advice: Vec::new(),
            process: None,
            thread: None,
            target: None,
            frame: None,
        };
        Candidate { verdict, grip, position: Position::Service }
    }

    /// It is about this thread.
    pub fn at(mut self, place: &Place<'_>) -> Candidate {
        self.verdict.process = Some(place.process.pid);
        self.verdict.thread = Some(place.thread.tid);
        self.verdict.frame = place.frame();
        self
    }

    /// What is waited for.
    pub fn target(mut self, target: impl Into<String>) -> Candidate {
        self.verdict.target = Some(target.into());
        self
    }

    /// Something that shows it.
    pub fn evidence(mut self, evidence: impl Into<String>) -> Candidate {
        self.verdict.evidence.push(evidence.into());
        self
    }

    /// Several things that show it, maybe none.
    pub fn evidence_all(mut self, evidence: impl IntoIterator<Item = String>) -> Candidate {
        self.verdict.evidence.extend(evidence);
        self
    }

    /// Something that can be done.
    pub fn advice(mut self, advice: impl Into<String>) -> Candidate {
        self.verdict.advice.push(advice.into());
        self
    }

    /// More that can be done.
    pub fn advice_all(mut self, advice: impl IntoIterator<Item = String>) -> Candidate {
        self.verdict.advice.extend(advice);
        self
    }

    /// The same explanation, seen in a thread that the main line is not known to wait for: it is at most likely.
    pub fn beside(mut self) -> Candidate {
        self.position = Position::Beside;
        // A deadlock stays one wherever it is.
        if self.verdict.cause != Cause::LockCycle {
            self.verdict.confidence = self.verdict.confidence.min(Confidence::Likely);
        }
        self
    }

    /// The same explanation, which fits but says little, and is no surer than this.
    pub fn at_most(mut self, confidence: Confidence) -> Candidate {
        self.verdict.confidence = self.verdict.confidence.min(confidence);
        self.grip = Grip::Weak;
        self
    }

    /// The same explanation, at the end of the main line.
    pub fn on_line(mut self) -> Candidate {
        self.position = Position::Line;
        self
    }

    /// How good an explanation it is, to be compared with others: tightness and place first, then confidence.
    pub fn score(&self) -> u32 {
        let place = match (self.position, self.grip) {
            (Position::Line, Grip::Firm) => 120,
            (Position::Service, Grip::Firm) => 110,
            (Position::Line, Grip::Hard) => 100,
            (Position::Beside, Grip::Firm) => 95,
            (Position::Service, Grip::Hard) => 85,
            (Position::Line, Grip::Soft) => 80,
            (Position::Beside, Grip::Hard) => 75,
            (Position::Service, Grip::Soft) => 70,
            (Position::Beside, Grip::Soft) => 65,
            (Position::Service, Grip::Weak) => 58,
            (Position::Line, Grip::Weak) => 55,
            (Position::Beside, Grip::Weak) => 45,
            (Position::Line, Grip::Idle) => 40,
            (Position::Beside, Grip::Idle) => 35,
            (Position::Service, Grip::Idle) => 30,
        };
        place * 10 + self.verdict.confidence as u32
    }
}
