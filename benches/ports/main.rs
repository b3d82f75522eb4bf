//! Measures the port modes, in one run: what restarts under load lose, beside stop and start and beside Server::Starter; and
//! what the filter of `adopt` costs. Compare ratios, not figures. `benches/ports/run` builds and runs it. It is no test.
#![allow(clippy::disallowed_methods, reason = "not part of the launcher")]

mod costs;
mod load;
mod restarts;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["bind", address] => costs::bind(address.parse().unwrap()),
        ["calls"] => costs::calls(),
        ["serve", address] => costs::serve(address),
        ["costs"] => costs::measure(),
        ["restarts"] => restarts::measure(""),
        ["restarts", name_has] => restarts::measure(name_has),
        _ => {
            restarts::measure("");
            println!();
            costs::measure();
        }
    }
}
