//! What a JVM writes of an exception that nobody catches.

use crate::core::diagnosis::VerdictFrame;

use super::{LINES, LastWords, frame, recognised};

/// `Exception in thread "main" java.lang.X: …`, or `Caused by: …`, then `\tat com.shop.Db.open(Db.java:12)`.
pub fn exception(lines: &[&str]) -> Option<LastWords> {
    let Some(index) = lines.iter().rposition(|line| line.starts_with("Exception in thread ")) else {
        return without_head(lines);
    };
    let cause = lines[index..].iter().rposition(|line| line.starts_with("Caused by: ")).map_or(index, |at| index + at);
    let at = |line: &&&str| line.trim_start().starts_with("at ");
    let own = lines[cause + 1..].iter().take_while(at).find_map(|line| own_frame(line));
    recognised(lines[cause], own)
}

/// `Error: Main method not found in class Cls, please define the main method as:`, and how that is done below.
pub fn refusal(lines: &[&str]) -> Option<LastWords> {
    const BEGINS: [&str; 4] = [
        "Error: Main method ",
        "Error: Could not find or load main class ",
        "Error: LinkageError occurred while loading main class ",
        "Error: Unable to initialize main class ",
    ];
    let line = lines.iter().rev().find(|line| BEGINS.iter().any(|begin| line.starts_with(begin)))?;
    recognised(line.split(", please define ").next().unwrap_or(line), None)
}

/// The end of a stack trace so long that what it is of is not kept: of a recursion without an end.
fn without_head(lines: &[&str]) -> Option<LastWords> {
    let last = lines.last().filter(|_| lines.len() >= LINES)?;
    let is_trace = lines[1..].iter().all(|line| line.starts_with("\tat "));
    let frame = own_frame(last).filter(|_| is_trace)?;
    recognised("an exception whose stack is too deep to be kept: a recursion without an end, it seems", Some(frame))
}

/// `\tat java.base/java.util.Objects.x(Objects.java:1)`, unless it is of the runtime.
fn own_frame(line: &str) -> Option<VerdictFrame> {
    let (function, place) = line.trim_start().strip_prefix("at ")?.split_once('(')?;
    let function = function.rsplit_once('/').map_or(function, |(_, function)| function);
    let runtime = ["java.", "javax.", "jdk.", "sun."].iter().any(|start| function.starts_with(start));
    if runtime { None } else { frame(function, place.trim_end_matches(')')) }
}

#[cfg(test)]
mod tests {
    use super::super::last_words;

    #[test]
    fn a_class_without_main_is_what_is_wrong_and_not_the_hint_below() {
        let tail = "Error: Main method not found in class Cls, please define the main method as:\n   public static void \
                    main(String[] args)\nor a JavaFX application class must extend javafx.application.Application\n";
        assert_eq!(last_words(tail).unwrap().text, "Error: Main method not found in class Cls");
        let tail = "Error: Could not find or load main class App\nCaused by: java.lang.ClassNotFoundException: App\n";
        assert_eq!(last_words(tail).unwrap().text, "Error: Could not find or load main class App");
    }

    #[test]
    fn a_trace_of_java_may_be_longer_than_what_is_kept() {
        let deep =
            "\tat java.base/java.util.Map.get(Map.java:1)\n".to_owned() + &"\tat shop.A.f(A.java:8)\n".repeat(300);
        let words = last_words(&format!("w(A.java:8)\n{deep}")).unwrap();
        let frame = words.frame.unwrap();
        let place = (frame.function.as_str(), frame.file.as_deref().unwrap(), frame.line.unwrap());
        assert_eq!((words.recognised, place), (true, ("shop.A.f", "A.java", 8)));
        let whole = format!("Exception in thread \"main\" java.lang.StackOverflowError\n{deep}");
        assert!(last_words(&whole).unwrap().text.ends_with("java.lang.StackOverflowError"));
    }
}
