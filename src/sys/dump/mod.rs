//! tmp
mod capture; mod cfi; mod code; mod files; mod hold; mod maps; mod memory; mod module; mod registers; mod runtimes; mod symbols; mod unwind;
