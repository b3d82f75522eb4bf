//! Runtimes whose own stacks are not read: what is missing then, and who can tell.

use super::{Subject, Told};

/// .NET.
pub fn dotnet(_: &Subject) -> Told {
    told(
        "managed frames of .NET are not read: `dotnet-stack report -p PID` shows them; started with \
         DOTNET_PerfMapEnabled=1 it tells the names of what it compiles",
    )
}

/// A PHP whose frames are not where they are looked for.
pub fn php(why: &str) -> Told {
    told(&format!("frames of PHP are not read: {why}; `phpspy -p PID` may show them"))
}

/// Erlang and Elixir.
pub fn beam(_: &Subject) -> Told {
    told("processes of the Erlang VM are not read: `observer` or `erlang:processes()` in a remote shell shows them")
}

/// Perl.
pub fn perl(_: &Subject) -> Told {
    told("frames of Perl are not read: it keeps no table of them that can be found from outside")
}

fn told(error: &str) -> Told {
    Told { error: Some(error.to_owned()), ..Told::default() }
}
