//! What `launcher check` finds: every problem of every service, with a code for machines.

use serde::Serialize;

use super::exit::code;
use super::facts::{ExecFailure, ExecProblem, PortProblem, Refusal, RequirementProblem};

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The service could not be started.
    Error,
    /// It could, but most likely not as it was meant.
    Warning,
}

/// What a finding is about; they are told in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Group {
    Program,
    Environment,
    File,
    Port,
    Requirement,
    Settings,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// A short word for it: `port-taken`.
    pub code: String,
    /// How much it weighs.
    pub severity: Severity,
    /// What it is about.
    pub group: Group,
    /// The whole of it for a person; no final period.
    pub summary: String,
    /// What can be done, in the imperative.
    pub advice: Vec<String>,
    /// The file it is in, when it has a place.
    pub file: Option<String>,
    /// The line in it, counted from 1.
    pub line: Option<usize>,
    /// The column in that, counted from 1, in characters.
    pub column: Option<usize>,
    /// The place shown: the line itself, with a caret.
    #[serde(skip)]
    pub shown: Option<String>,
    /// The exit code it stands for when it is alone.
    #[serde(skip)]
    pub exit_code: i32,
}

/// The findings of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServiceFindings {
    /// The service.
    pub service: String,
    /// What is found, in the order of its groups.
    pub findings: Vec<Finding>,
}

impl Finding {
    /// A warning about how a service is set.
    pub fn warning(code: &str, summary: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding {
            code: code.to_owned(),
            severity: Severity::Warning,
            group: Group::Settings,
            summary: summary.into(),
            advice: vec![advice.into()],
            file: None,
            line: None,
            column: None,
            shown: None,
            exit_code: code::PREFLIGHT,
        }
    }

    /// Something that may not be set for a service's processes.
    pub fn not_permitted(failure: &ExecFailure) -> Finding {
        let refusal = Refusal::Exec(failure.clone());
        Finding { code: "not-permitted".to_owned(), group: Group::Program, ..Finding::of(&refusal) }
    }

    /// What a refusal is as a finding.
    pub fn of(refusal: &Refusal) -> Finding {
        let (code, group) = match refusal {
            Refusal::Exec(failure) => exec_code(failure.problem),
            Refusal::Port(failure) => (port_code(failure.problem), Group::Port),
            Refusal::Requirement(failure) => {
                (requirement_code(failure.first().and_then(|first| first.problem)), Group::Requirement)
            }
            Refusal::File(failure) if failure.place.is_none() && failure.code.starts_with("variable") => {
                (failure.code, Group::Environment)
            }
            Refusal::File(failure) => (failure.code, Group::File),
        };
        let (place, shown, warning) = match refusal {
            Refusal::File(failure) => (failure.place.clone(), failure.shown.clone(), failure.warning),
            _ => (None, None, false),
        };
        Finding {
            code: code.to_owned(),
            severity: if warning { Severity::Warning } else { Severity::Error },
            group,
            summary: refusal.summary().to_owned(),
            advice: refusal.advice().to_vec(),
            file: place.as_ref().map(|place| place.file.clone()),
            line: place.as_ref().map(|place| place.line),
            column: place.as_ref().map(|place| place.column),
            shown,
            exit_code: refusal.exit_code(),
        }
    }
}

fn exec_code(problem: ExecProblem) -> (&'static str, Group) {
    let code = match problem {
        ExecProblem::NotFound => "program-missing",
        ExecProblem::IsDirectory => "program-is-directory",
        ExecProblem::NotExecutable => "program-not-executable",
        ExecProblem::NoExecMount => "program-on-noexec",
        ExecProblem::InterpreterMissing => "interpreter-missing",
        ExecProblem::LoaderMissing => "loader-missing",
        ExecProblem::LibraryMissing => "library-missing",
        ExecProblem::WrongArchitecture => "wrong-architecture",
        ExecProblem::BadFormat => "program-format",
        ExecProblem::Directory => "directory-closed",
        ExecProblem::User => "user-unknown",
        ExecProblem::Stage | ExecProblem::Launcher => return ("environment-file", Group::Environment),
    };
    (code, Group::Program)
}

fn port_code(problem: PortProblem) -> &'static str {
    match problem {
        PortProblem::Taken => "port-taken",
        PortProblem::Privileged => "port-privileged",
        PortProblem::NoSuchAddress => "port-address",
        PortProblem::Other => "port-unusable",
    }
}

fn requirement_code(problem: Option<RequirementProblem>) -> &'static str {
    match problem {
        Some(RequirementProblem::Refused) => "requirement-refused",
        Some(RequirementProblem::NoRoute) => "requirement-no-route",
        Some(RequirementProblem::Timeout) | None => "requirement-timeout",
        Some(RequirementProblem::Dns) => "requirement-dns",
        Some(RequirementProblem::Tls) => "requirement-tls",
        Some(RequirementProblem::Answer) => "requirement-answer",
        Some(RequirementProblem::Closed) => "requirement-closed",
        Some(RequirementProblem::Missing) => "requirement-missing",
        Some(RequirementProblem::NotPermitted) => "requirement-not-permitted",
        Some(RequirementProblem::Failed) => "requirement-failed",
        Some(RequirementProblem::Other) => "requirement-other",
    }
}

/// The exit code of all findings: 0 when nothing is in the way; 69 when nothing but requirements is; 126 or 127 when
/// nothing but programs is, by the first of them; else 71. `strict` takes warnings for errors.
pub fn exit_code(all: &[ServiceFindings], strict: bool) -> i32 {
    let counts = |finding: &&Finding| strict || finding.severity == Severity::Error;
    let mut codes = all.iter().flat_map(|service| &service.findings).filter(counts).map(|finding| finding.exit_code);
    let Some(first) = codes.next() else { return 0 };
    let program = |code: i32| matches!(code, code::NOT_EXECUTABLE | code::NOT_FOUND);
    match codes.all(|code| code == first || (program(code) && program(first))) {
        true => first,
        false => code::PREFLIGHT,
    }
}

/// Everything as text for a person.
pub fn text(all: &[ServiceFindings]) -> String {
    let mut text = String::new();
    for ServiceFindings { service, findings } in all {
        if findings.is_empty() {
            text.push_str(&format!("✓ {service}: nothing is in the way\n"));
        }
        for finding in findings {
            let sign = if finding.severity == Severity::Error { '✗' } else { '⚠' };
            text.push_str(&format!("{sign} {service}: {} [{}]\n", finding.summary, finding.code));
            for line in finding.shown.iter().flat_map(|shown| shown.lines()) {
                text.push_str(&format!("    {line}\n"));
            }
            for line in &finding.advice {
                text.push_str(&format!("    try {line}\n"));
            }
        }
    }
    text
}

/// What `launcher check --json` writes.
#[derive(Debug, Serialize)]
pub struct Checked<'a> {
    /// `launcher-check/1`.
    pub schema: &'static str,
    /// The exit code.
    pub exit_code: i32,
    /// All services, those without findings too.
    pub services: &'a [ServiceFindings],
    /// What is wrong with launcher.toml itself; then no service was looked at.
    pub errors: Vec<ConfigFinding>,
}

/// Something that is wrong with launcher.toml.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct ConfigFinding {
    pub file: String,
    pub line: Option<usize>,
    pub column: Option<usize>,
    pub summary: String,
    pub advice: Vec<String>,
}

impl Checked<'_> {
    /// The version of the format.
    pub const SCHEMA: &'static str = "launcher-check/1";

    /// Nothing was found so far, and yet it ends so.
    pub fn new(exit_code: i32) -> Checked<'static> {
        Checked { schema: Checked::SCHEMA, exit_code, services: &[], errors: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(exit_code: i32) -> Finding {
        Finding { severity: Severity::Error, exit_code, ..Finding::warning("x", "something", "something else") }
    }

    fn all(codes: &[i32]) -> Vec<ServiceFindings> {
        let of = |code: &i32| ServiceFindings { service: "a".to_owned(), findings: vec![finding(*code)] };
        codes.iter().map(of).collect()
    }

    #[test]
    fn the_exit_code_is_that_of_what_is_in_the_way() {
        for (codes, expected) in [
            (&[][..], 0),
            (&[127], 127),
            (&[126, 127], 126),
            (&[127, 71], 71),
            (&[69, 69], 69),
            (&[69, 71], 71),
            (&[69, 127], 71),
        ] {
            assert_eq!(exit_code(&all(codes), false), expected, "{codes:?}");
        }
        let warning = ServiceFindings { service: "a".to_owned(), findings: vec![Finding::warning("x", "y", "z")] };
        let warnings = [warning];
        assert_eq!((exit_code(&warnings, false), exit_code(&warnings, true)), (0, 71));
    }

    #[test]
    fn every_finding_has_its_line_and_code() {
        let shown = Some("--> f:1:2\n1 | x".to_owned());
        let mut services = all(&[71]);
        services[0]
            .findings
            .push(Finding { shown, ..Finding::warning("stop-cut-off", "it is short", "make it longer") });
        services.push(ServiceFindings { service: "b".to_owned(), findings: vec![] });
        let expected = "✗ a: something [x]\n    try something else\n⚠ a: it is short [stop-cut-off]\n    --> f:1:2\n    \
                        1 | x\n    try make it longer\n✓ b: nothing is in the way\n";
        assert_eq!(text(&services), expected);
    }
}
