//! Where the code that every start runs lies in the program.
#![allow(clippy::disallowed_methods, reason = "cargo speaks to it by the environment")]

fn main() {
    println!("cargo::rerun-if-changed=start.ld");
    println!("cargo::rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|found| found == value);
    // Tried with lld, which is what rustc links with for glibc, and with GNU ld, which it does for musl.
    let known = is("CARGO_CFG_TARGET_ARCH", "x86_64") && is("CARGO_CFG_TARGET_OS", "linux");
    if known && is("PROFILE", "release") {
        let root = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
        println!("cargo::rustc-link-arg-bins=-Wl,-T,{root}/start.ld");
    }
}
