//! `go_limits = "auto"`: what a Go program before 1.25 does not find out by itself, the limits of its cgroup.

/// Of a hundred bytes that it may use, so many are for the heap; the rest is for stacks, code and what is not Go's.
const HEAP_PERCENT: u64 = 90;

/// The variables for these limits: of memory in bytes, and of CPUs.
pub fn variables(memory: Option<u64>, cpus: Option<f64>) -> Vec<(String, String)> {
    let mut variables = Vec::new();
    if let Some(limit) = memory {
        variables.push(("GOMEMLIMIT".to_owned(), format!("{}B", limit / 100 * HEAP_PERCENT)));
    }
    if let Some(cpus) = cpus.filter(|cpus| *cpus > 0.0) {
        // A part of a CPU is one that may be used, if not all the time.
        variables.push(("GOMAXPROCS".to_owned(), format!("{}", cpus.ceil().clamp(1.0, 65536.0))));
    }
    variables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_limited_is_told() {
        let told = |memory, cpus| {
            variables(memory, cpus).into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()
        };
        assert_eq!(told(Some(512 << 20), Some(1.5)), ["GOMEMLIMIT=483183810B", "GOMAXPROCS=2"]);
        assert_eq!(told(None, Some(0.2)), ["GOMAXPROCS=1"]);
        assert!(told(None, None).is_empty());
    }
}
