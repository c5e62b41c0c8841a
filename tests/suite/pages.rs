//! The README and the pages of `docs/` tell the truth: their sessions are run, and print what the page shows; commands without
//! an output are ones that the program takes; what they link to is there.
//!
//! With `BUNDLE_UPDATE_PAGES` set, the pages are given what the commands print now.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::session::{RODS, Session, copy_sources};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// How a session begins on a page, and how it ends.
const FENCE: [&str; 2] = ["```console\n", "```"];

/// What stands on a page for text that differs from machine to machine.
const ANY: &str = "[..]";

/// A command, and what it prints.
#[derive(Debug)]
struct Step {
    command: String,
    output: String,
}

/// The README, and every page of the book.
fn pages() -> Vec<PathBuf> {
    let mut pages = vec![Path::new(ROOT).join("README.md")];
    let mut folders = vec![Path::new(ROOT).join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.extension() {
                Some(end) if end == "md" => pages.push(path),
                None => folders.push(path),
                Some(_) => {}
            }
        }
    }
    pages.sort();
    pages
}

/// A page's text outside its sessions, and between them the sessions. A command goes on in the next line after a `\`, and
/// while a here-document is open.
fn cut(page: &str) -> (Vec<&str>, Vec<Vec<Step>>) {
    let mut parts = page.split(FENCE[0]);
    let mut texts = vec![parts.next().unwrap()];
    let mut sessions = Vec::new();
    for part in parts {
        let (session, text) = part.split_once(FENCE[1]).expect("the end of a session");
        texts.push(text);
        sessions.push(steps(session));
    }
    (texts, sessions)
}

fn steps(session: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut document: Option<String> = None;
    for line in session.lines() {
        if let Some(end) = &document {
            let step = steps.last_mut().unwrap();
            step.command += &format!("\n{line}");
            if line == end {
                document = None;
            }
        } else if let Some(command) = line.strip_prefix("$ ") {
            document = command
                .split_once("<<'")
                .and_then(|(_, rest)| Some(rest.split_once('\'')?.0.to_owned()));
            steps.push(Step {
                command: command.to_owned(),
                output: String::new(),
            });
        } else {
            let step = steps.last_mut().expect("a command before its output");
            step.output += &format!("{line}\n");
        }
    }
    steps
}

/// Runs the commands of a page in one shell, so that folder and variables carry over; gives what each printed.
fn run(commands: &[&str]) -> Vec<String> {
    let session = Session::new();
    let rods = session.path("examples/rods");
    copy_sources(RODS.as_ref(), &rods);
    fs::copy(format!("{RODS}/bundle.lock"), rods.join("bundle.lock")).unwrap();
    let build = "examples/ci/build.sh";
    fs::create_dir(session.path("examples/ci")).unwrap();
    fs::copy(Path::new(ROOT).join(build), session.path(build)).unwrap();
    let bin = Path::new(env!("CARGO_BIN_EXE_bundle")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mark = "@@@@";
    let script: String = commands
        .iter()
        .map(|command| format!("{command}\nstatus=$?; echo {mark}; (exit $status)\n"))
        .collect();
    let output = Command::new("bash")
        .args(["-c", &format!("exec 2>&1\n{script}")])
        .current_dir(session.path(""))
        .env("PATH", path)
        .env("BUNDLE_CACHE_DIR", session.cache())
        .env_remove("SOURCE_DATE_EPOCH")
        .env_remove("NO_COLOR")
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let end = format!("{mark}\n");
    let mut printed = printed.split(end.as_str()).map(trimmed);
    commands
        .iter()
        .map(|_| printed.next().unwrap_or_default())
        .collect()
}

/// Lines without what stands at their ends: a page shows no trailing spaces.
fn trimmed(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(str::trim_end).collect();
    lines.join("\n").trim_end().to_owned()
}

/// Whether what was printed is what the page shows, where [`ANY`] is any text.
fn is_as_shown(printed: &str, shown: &str) -> bool {
    let Some((first, rest)) = shown.split_once(ANY) else {
        return printed == shown;
    };
    printed.strip_prefix(first).is_some_and(|printed| {
        let ends = (0..=printed.len()).filter(|at| printed.is_char_boundary(*at));
        ends.into_iter().any(|at| is_as_shown(&printed[at..], rest))
    })
}

/// The page with what its commands print now, where that is not as shown.
fn updated(page: &str, printed: &[String]) -> String {
    let (texts, sessions) = cut(page);
    let mut printed = printed.iter();
    let mut updated = texts[0].to_owned();
    for (session, text) in sessions.iter().zip(&texts[1..]) {
        updated += FENCE[0];
        for step in session {
            let shown = trimmed(&step.output);
            let now = printed.next().unwrap();
            let output = if is_as_shown(now, &shown) {
                &shown
            } else {
                now
            };
            updated += &format!("$ {}\n", step.command);
            if !output.is_empty() {
                updated += &format!("{output}\n");
            }
        }
        updated += FENCE[1];
        updated += text;
    }
    updated
}

// The pages are written for GNU tools.
#[cfg(target_os = "linux")]
#[test]
fn sessions_print_what_the_pages_show() {
    let update = std::env::var_os("BUNDLE_UPDATE_PAGES").is_some();
    let mut seen = 0;
    let mut wrong = String::new();
    for path in pages() {
        let page = fs::read_to_string(&path).unwrap();
        let (_, sessions) = cut(&page);
        let steps: Vec<&Step> = sessions.iter().flatten().collect();
        let commands: Vec<&str> = steps.iter().map(|step| step.command.as_str()).collect();
        let printed = run(&commands);
        if update {
            fs::write(&path, updated(&page, &printed)).unwrap();
        }
        for (step, printed) in steps.iter().zip(&printed) {
            let shown = trimmed(&step.output);
            if !is_as_shown(printed, &shown) {
                let command = &step.command;
                let path = path.display();
                wrong += &format!("{path}: $ {command}\n{printed}\nbut shows\n{shown}\n\n");
            }
        }
        seen += steps.len();
    }
    assert!(seen > 40, "{seen} commands");
    assert!(update || wrong.is_empty(), "{wrong}");
}

/// The lines of a page's scripts that run the program, variables left out.
fn scripted(page: &str) -> Vec<String> {
    let scripts = page.split("```sh\n").skip(1);
    let scripts = scripts.filter_map(|rest| rest.split(FENCE[1]).next());
    let joined: Vec<String> = scripts.map(|text| text.replace("\\\n", " ")).collect();
    let lines = joined.iter().flat_map(|text| text.lines());
    let own = lines.filter(|line| line.starts_with("bundle "));
    own.map(str::to_owned).collect()
}

/// Their files are those of a user, and not here; so it is only asked whether the command line is understood.
#[cfg(target_os = "linux")]
#[test]
fn commands_in_scripts_are_ones_that_the_program_takes() {
    let mut seen = 0;
    for path in pages() {
        let page = fs::read_to_string(&path).unwrap();
        let commands = scripted(&page);
        let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
        for (command, printed) in commands.iter().zip(run(&commands)) {
            let is_taken = !printed.contains("try '--help'") && !printed.contains("command not");
            assert!(is_taken, "{}: {command}\n{printed}", path.display());
        }
        seen += commands.len();
    }
    assert!(seen > 6, "{seen} commands");
    let wrong = run(&["bundle run --resum", "bundl run"]);
    assert!(wrong[0].contains("try '--help'") && wrong[1].contains("command not"));
}

/// The places in a page that links lead to: its headings as mdBook and GitHub name them.
fn anchors(page: &str) -> Vec<String> {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = heading
            .chars()
            .filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

/// Files and headings, and for a page of the book only those of the book: others are not where it is read.
#[test]
fn what_pages_link_to_is_there() {
    let book = Path::new(ROOT).join("docs").canonicalize().unwrap();
    let mut seen = 0;
    for page in pages() {
        let page = page.canonicalize().unwrap();
        let text = fs::read_to_string(&page).unwrap();
        let links = text.split("](").skip(1);
        for link in links.filter_map(|rest| rest.split(')').next()) {
            if link.starts_with("http") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let path = match file {
                "" => page.clone(),
                file => page.parent().unwrap().join(file),
            };
            let Ok(path) = path.canonicalize() else {
                panic!("{}: {link} is not there", page.display());
            };
            assert!(
                !page.starts_with(&book) || path.starts_with(&book),
                "{}: {link} is not of the book",
                page.display()
            );
            let found = anchor.is_empty()
                || anchors(&fs::read_to_string(&path).unwrap()).contains(&anchor.to_owned());
            assert!(found, "{}: {link} is no heading", page.display());
            seen += 1;
        }
    }
    assert!(seen > 30, "{seen} links");
}

#[test]
fn every_page_is_in_the_book() {
    let book = Path::new(ROOT).join("docs");
    let summary = fs::read_to_string(book.join("SUMMARY.md")).unwrap();
    for page in pages() {
        let Ok(name) = page.strip_prefix(&book) else {
            continue;
        };
        let name = name.to_str().unwrap().replace('\\', "/");
        assert!(
            name == "SUMMARY.md" || summary.contains(&format!("({name})")),
            "{name}"
        );
    }
}

#[test]
fn any_text_is_matched_where_a_page_says_so() {
    assert!(is_as_shown("took 12 ms", "took [..] ms"));
    assert!(is_as_shown("a b c", "[..]b[..]"));
    assert!(!is_as_shown("took 12 s", "took [..] ms"));
    assert!(!is_as_shown("took", "took [..]"));
}
