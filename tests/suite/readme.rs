//! The README tells the truth: its sessions are run, and print what the page shows.

use std::fs;
use std::process::Command;

use crate::session::{RODS, Session, copy_sources};

const README: &str = include_str!("../../README.md");

/// The commands of the page's sessions with what each prints.
fn sessions(page: &str) -> Vec<(String, String)> {
    let mut commands: Vec<(String, String)> = Vec::new();
    for block in page.split("```console\n").skip(1) {
        let block = block.split("```").next().unwrap();
        for line in block.lines() {
            match (line.strip_prefix("$ "), commands.last_mut()) {
                (Some(command), _) => commands.push((command.to_owned(), String::new())),
                (None, Some((_, output))) => *output += &format!("{line}\n"),
                (None, None) => panic!("output before any command: {line}"),
            }
        }
    }
    commands
}

/// Lines without what stands at their ends: a page shows no trailing spaces.
fn trimmed(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(str::trim_end).collect();
    lines.join("\n").trim_end().to_owned()
}

#[cfg(unix)]
#[test]
fn the_five_minute_tour_prints_what_the_page_shows() {
    let session = Session::new();
    let rods = session.path("examples/rods");
    copy_sources(RODS.as_ref(), &rods);
    fs::copy(format!("{RODS}/bundle.lock"), rods.join("bundle.lock")).unwrap();
    let bin = std::path::Path::new(env!("CARGO_BIN_EXE_bundle"))
        .parent()
        .unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());

    let commands = sessions(README);
    assert!(commands.len() >= 8, "{commands:?}");
    // One shell for all of it: folder and exit status carry over, outputs are told apart by a mark.
    let mark = "@@@@";
    let script: String = commands
        .iter()
        .map(|(command, _)| format!("{command}\nstatus=$?; echo {mark}; (exit $status)\n"))
        .collect();
    let output = Command::new("bash")
        .args(["-c", &format!("exec 2>&1\n{script}")])
        .current_dir(session.path(""))
        .env("PATH", path)
        .env("BUNDLE_CACHE_DIR", session.cache())
        .env_remove("SOURCE_DATE_EPOCH")
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let end = format!("{mark}\n");
    let mut printed = printed.split(end.as_str());
    for (command, expected) in commands {
        let printed = printed.next().unwrap_or_default();
        assert_eq!(trimmed(printed), trimmed(&expected), "$ {command}");
    }
}

#[test]
fn the_pages_that_the_readme_names_are_there() {
    let links = README
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    let mut seen = 0;
    for link in links.filter(|link| !link.starts_with("http")) {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(link);
        assert!(path.exists(), "{link}");
        seen += 1;
    }
    assert!(seen > 5);
}
