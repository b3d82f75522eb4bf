//! What PHP and Perl write when they end on an error.

use crate::core::diagnosis::VerdictFrame;

use super::{LastWords, recognised};

/// `PHP Fatal error:  Uncaught RuntimeException: no file in /srv/app.php:3`, then `#0 …` and `  thrown in … on line 3`.
pub fn php(lines: &[&str]) -> Option<LastWords> {
    let index = lines.iter().rposition(|line| line.contains("Fatal error: ") && line.contains("Uncaught "))?;
    let rest = &lines[index + 1..];
    let thrown = rest.iter().rev().find_map(|line| line.trim_start().strip_prefix("thrown in "))?;
    let (file, number) = thrown.rsplit_once(" on line ")?;
    let at = lines[index].find("Uncaught ")?;
    let text = &lines[index][at..];
    let text = text.strip_suffix(&format!(" in {file}:{number}")).unwrap_or(text);
    // `…, string given, called in FILE on line 1 and defined in FILE:1`
    let text = text.split_once(", called in ").map_or(text, |(text, _)| text);
    let innermost = rest.iter().find_map(|line| line.strip_prefix("#0 "));
    let function = innermost.and_then(|line| line.rsplit_once(": ")).and_then(|(_, call)| call.split('(').next());
    recognised(text, place(function.unwrap_or("{main}"), file, number))
}

/// `Can't locate Shop.pm in @INC (…) at app.pl line 1.`, and below it how that came about: `BEGIN failed--compilation
/// aborted at …`, `\tmain::load() called at app.pl line 4`.
pub fn perl(lines: &[&str]) -> Option<LastWords> {
    let mut said = lines.iter().rev().filter(|line| !line.trim().is_empty()).peekable();
    let mut caller = None;
    while let Some(line) = said.peek().filter(|line| follows(line)) {
        caller = called(line).or(caller);
        said.next();
    }
    let line = said.next()?.trim_end();
    let (message, rest) = line.rsplit_once(" at ")?;
    let (file, number) = rest.strip_suffix('.').unwrap_or(rest).rsplit_once(" line ")?;
    // `die` may tell how far a file was read: `…, <STDIN> line 3.`
    let (file, number) = file.split_once(" line ").map_or((file, number), |(file, rest)| (file, until(rest)));
    let frame = place(caller.unwrap_or("main"), file, number)?;
    let listed = ["(@INC contains:", "(@INC entries checked:"].iter().find_map(|list| message.find(list));
    recognised(listed.map_or(message, |at| &message[..at]), Some(frame))
}

fn until(number: &str) -> &str {
    number.split(',').next().unwrap_or(number)
}

/// Whether a line of Perl tells where the one above it came from.
fn follows(line: &str) -> bool {
    line.starts_with("BEGIN failed--compilation aborted at ")
        || line.starts_with("Compilation failed in require at ")
        || called(line).is_some()
}

/// The function of `\tmain::load() called at app.pl line 4`.
fn called(line: &str) -> Option<&str> {
    let (call, _) = line.strip_prefix('\t')?.split_once(" called at ")?;
    call.split('(').next()
}

fn place(function: &str, file: &str, number: &str) -> Option<VerdictFrame> {
    let line = Some(number.parse().ok()?);
    Some(VerdictFrame { function: function.to_owned(), file: Some(file.to_owned()), line })
}

#[cfg(test)]
mod tests {
    use super::super::last_words;

    #[track_caller]
    fn is(tail: &str, text: &str, function: &str, file: &str, line: u32) {
        let words = last_words(tail).unwrap();
        let frame = words.frame.unwrap();
        assert_eq!((words.text.as_str(), words.recognised), (text, true));
        assert_eq!((frame.function.as_str(), frame.file.as_deref(), frame.line), (function, Some(file), Some(line)));
    }

    #[test]
    fn an_exception_of_php_is_the_cause_and_not_where_it_was_thrown() {
        let tail = "PHP Fatal error:  Uncaught RuntimeException: no config file in /srv/exc.php:1\nStack trace:\n\
                    #0 /srv/exc.php(1): cfg()\n#1 {main}\n  thrown in /srv/exc.php on line 1\n";
        is(tail, "Uncaught RuntimeException: no config file", "cfg", "/srv/exc.php", 1);
        let tail = "PHP Fatal error:  Uncaught TypeError: f(): Argument #1 ($x) must be of type int, string given, called \
                    in Command line code on line 1 and defined in Command line code:1\nStack trace:\n#0 Command line \
                    code(1): f()\n#1 {main}\n  thrown in Command line code on line 1\n";
        let text = "Uncaught TypeError: f(): Argument #1 ($x) must be of type int, string given";
        is(tail, text, "f", "Command line code", 1);
    }

    #[test]
    fn what_perl_dies_of_is_the_cause_and_not_how_it_came_there() {
        let tail = "Can't locate Not/There/Mod.pm in @INC (you may need to install the Not::There::Mod module) (@INC \
                    contains: /etc/perl /usr/share/perl5) at p/mod.pl line 1.\n\
                    BEGIN failed--compilation aborted at p/mod.pl line 1.\n";
        let text = "Can't locate Not/There/Mod.pm in @INC (you may need to install the Not::There::Mod module)";
        is(tail, text, "main", "p/mod.pl", 1);
        let tail = "no such key: db.host at p/conf.pl line 1.\n\tmain::get(\"db\") called at p/conf.pl line 1\n\
                    \tmain::load() called at p/conf.pl line 2\n";
        is(tail, "no such key: db.host", "main::get", "p/conf.pl", 1);
        is("cannot read it at a.pl line 7, <STDIN> line 3.\n", "cannot read it", "main", "a.pl", 7);
        assert!(!last_words("we meet at noon\n").unwrap().recognised);
    }
}
