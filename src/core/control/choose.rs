//! Which of the launchers that run is meant by a command.

use std::fmt::Write as _;

use super::status::About;

/// Which one is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// The one of this name.
    Name(&'a str),
    /// The one of this folder.
    Folder(&'a str),
}

/// The place in the list of the one that is meant.
///
/// # Errors
/// That none is, or more than one: what to say, over several lines.
pub fn choose(running: &[About], wanted: Wanted<'_>) -> Result<usize, String> {
    let is_meant = |about: &About| match wanted {
        Wanted::Name(name) => about.name == name,
        Wanted::Folder(folder) => about.folder == folder,
    };
    let meant: Vec<usize> = (0..running.len()).filter(|index| is_meant(&running[*index])).collect();
    match meant.as_slice() {
        [one] => Ok(*one),
        [] => Err(none(running, wanted)),
        several => Err(ambiguous(&several.iter().map(|index| &running[*index]).collect::<Vec<_>>(), wanted)),
    }
}

fn none(running: &[About], wanted: Wanted<'_>) -> String {
    let mut text = match wanted {
        Wanted::Name(name) => format!("no launcher of the name {name:?} runs"),
        Wanted::Folder(folder) => format!("no launcher runs in this folder, {folder}"),
    };
    if running.is_empty() {
        text.push_str(", nor elsewhere as this user\n  help: start one with launcher run");
        return text;
    }
    text.push_str("; there are");
    for about in running {
        let _ = write!(text, "\n  {}", line(about));
    }
    let _ = write!(text, "\n  help: name one of them: --name {}", running[0].name);
    text
}

fn ambiguous(several: &[&About], wanted: Wanted<'_>) -> String {
    let mut text = match wanted {
        Wanted::Name(name) => format!("{} launchers of the name {name:?} run", several.len()),
        Wanted::Folder(folder) => format!("{} launchers run in this folder, {folder}", several.len()),
    };
    for about in several {
        let _ = write!(text, "\n  {}", line(about));
    }
    let names_differ = several.iter().all(|one| several.iter().filter(|other| other.name == one.name).count() == 1);
    match (wanted, names_differ) {
        (Wanted::Folder(_), true) => {
            let _ = write!(text, "\n  help: name one of them: --name {}", several[0].name);
        }
        _ => {
            let socket = several[0].control.as_deref().unwrap_or("PATH");
            let _ = write!(text, "\n  help: name one by its socket: --control {socket}");
        }
    }
    text
}

fn line(about: &About) -> String {
    let socket = about.control.as_deref().map(|socket| format!(" ({socket})")).unwrap_or_default();
    format!("{}, pid {}, in {}{socket}", about.name, about.pid, about.folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(name: &str, pid: u32, folder: &str) -> About {
        let control = Some(format!("/run/launcher/{name}.{pid}.sock"));
        About { name: name.into(), pid, folder: folder.into(), control, ..About::default() }
    }

    #[test]
    fn one_is_meant_by_its_name_or_its_folder() {
        let running = [about("shop", 1, "/srv/shop"), about("blog", 2, "/srv/blog")];
        assert_eq!(choose(&running, Wanted::Name("blog")), Ok(1));
        assert_eq!(choose(&running, Wanted::Folder("/srv/shop")), Ok(0));
    }

    #[test]
    fn none_tells_which_there_are() {
        let text = choose(&[], Wanted::Folder("/srv")).unwrap_err();
        assert!(text.starts_with("no launcher runs in this folder, /srv, nor elsewhere"), "{text}");
        let text = choose(&[about("shop", 1, "/srv/shop")], Wanted::Name("blog")).unwrap_err();
        assert!(text.contains("\n  shop, pid 1, in /srv/shop (/run/launcher/shop.1.sock)\n"), "{text}");
        assert!(text.ends_with("--name shop"), "{text}");
    }

    #[test]
    fn two_are_told_apart_by_what_differs() {
        let running = [about("sleep", 1, "/a"), about("sleep", 2, "/b"), about("web", 3, "/a")];
        let text = choose(&running, Wanted::Name("sleep")).unwrap_err();
        assert!(text.starts_with("2 launchers of the name \"sleep\" run\n"), "{text}");
        assert!(text.ends_with("--control /run/launcher/sleep.1.sock"), "{text}");
        let text = choose(&running, Wanted::Folder("/a")).unwrap_err();
        assert!(text.ends_with("--name sleep"), "{text}");
    }
}
