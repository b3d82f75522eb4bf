//! The `launcher` binary.

fn main() {
    launcher::run::main()
}
