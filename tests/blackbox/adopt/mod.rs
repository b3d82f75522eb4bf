//! The port modes `adopt` and `capture`, for programs that know nothing of them.

mod programs;
mod refused;
mod scripted;
mod serving;
