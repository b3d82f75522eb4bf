//! The `launcher` binary.
#![no_main]

launcher::entry!(launcher::run::main);
