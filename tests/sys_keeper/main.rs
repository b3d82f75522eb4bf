//! The keeper, against real processes: what a service gets, how its end is told, and that nothing of it is ever left.

mod ends;
mod gets;
mod hostile;
mod roles;
mod support;
mod timing;
