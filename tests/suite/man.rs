//! Manual pages: one for each command, in the macros that every `man` knows.

use std::collections::BTreeSet;
use std::process::Command;

use insta::assert_snapshot;

use crate::session::Session;

/// The macros of man(7) that a page may use, the requests among them, and the two of its first lines.
const MACROS: [&str; 14] = [
    "TH", "SH", "TP", "IP", "PP", "RS", "RE", "sp", "nf", "fi", "ad", "nh", "ie", "el",
];

/// What may follow a backslash: a hyphen, a font, a bullet, an apostrophe that is one, nothing at all, a test of the reader.
const ESCAPES: [&str; 9] = ["-", "fB", "fI", "fR", "(bu", "(aq", "*(Aq", "&", "n(.g"];

/// The names of the pages that there should be: `command` and what `--help` lists below it.
fn listed(session: &Session, command: &[&str], names: &mut BTreeSet<String>) {
    names.insert([&["bundle"], command].concat().join("-") + ".1");
    let help = session
        .bundle(&[command, &["--help"]].concat())
        .ends(0)
        .stdout;
    let Some((_, list)) = help.split_once("\nCommands:\n") else {
        return;
    };
    for line in list.lines().take_while(|line| !line.is_empty()) {
        // What a description goes on with is set in further.
        let line = line.strip_prefix("  ").unwrap();
        let name = line.split(' ').next().unwrap();
        if !["", "help"].contains(&name) {
            listed(session, &[command, &[name]].concat(), names);
        }
    }
}

/// What a program that shows pages would not know or would stumble over.
fn faults(page: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut open = Vec::new();
    // The heading that no text has followed yet.
    let mut bare = "";
    let is_remark = |line: &&str| line.starts_with(".\\\"");
    for line in page.lines().filter(|line| !is_remark(line)) {
        let name = line.strip_prefix('.').map(|control| {
            let name = control.split(' ').next();
            name.unwrap_or_default()
        });
        let paired = match name {
            Some(name @ ("RS" | "nf")) => {
                open.push(name);
                true
            }
            Some("RE") => open.pop() == Some("RS"),
            Some("fi") => open.pop() == Some("nf"),
            _ => true,
        };
        let escaped = |rest: &str| ESCAPES.iter().any(|escape| rest.starts_with(escape));
        let fault = match name {
            Some(name) if !MACROS.contains(&name) => "an unknown macro",
            Some("SH") if !bare.is_empty() => "nothing under the heading before",
            Some("TP") if bare == "TP" => "nothing under the heading before",
            _ if line.is_empty() => "an empty line",
            _ if line.starts_with('\'') => "a request of roff",
            _ if !line.split('\\').skip(1).all(escaped) => "an unknown escape",
            _ if !paired => "no pair",
            _ => "",
        };
        match name {
            Some(name @ ("SH" | "TP")) => bare = name,
            Some(_) => {}
            None => bare = "",
        }
        if !fault.is_empty() {
            faults.push(format!("{fault}: {line}"));
        }
    }
    faults.extend(open.iter().map(|name| format!("{name} is not closed")));
    faults
}

#[test]
fn faults_of_pages_are_found() {
    assert_eq!(
        faults(".SH NAME\nbundle \\- it\n.TP\n\\fB\\-q\\fR\nSay"),
        [""; 0]
    );
    for wrong in [
        ".XX",
        "\n",
        "'br",
        "a\\zb",
        ".RE",
        ".nf",
        ".SH A\n.SH B",
        ".TP\n.TP",
    ] {
        assert_eq!(faults(wrong).len(), 1, "{wrong:?}");
    }
}

#[test]
fn every_command_has_a_page() {
    let session = Session::new();
    let mut names = BTreeSet::new();
    listed(&session, &[], &mut names);
    assert!(names.contains("bundle-cache-prune.1"), "{names:?}");
    let run = session.bundle(&["man", "pages/man1"]).ends(0);
    assert_eq!(run.stdout, "");
    assert_eq!(
        session.names("pages/man1"),
        names.iter().cloned().collect::<Vec<_>>()
    );
    let program = session.bundle(&["man"]).ends(0).stdout;
    assert_eq!(program, session.text("pages/man1/bundle.1"));
    for name in &names {
        let page = session.text(&format!("pages/man1/{name}"));
        assert_eq!(faults(&page), Vec::<String>::new(), "{name}");
    }
    assert_snapshot!(session.text("pages/man1/bundle-cache-prune.1"));
}

/// Where there are programs that show pages, they have nothing to say of ours.
#[test]
fn programs_show_the_pages_without_warnings() {
    let session = Session::new();
    session.bundle(&["man", "pages"]).ends(0);
    let checks: [&[&str]; 2] = [
        &["groff", "-man", "-Tutf8", "-ww", "-z"],
        &["mandoc", "-Tlint", "-Wwarning"],
    ];
    for name in session.names("pages") {
        for check in checks {
            let mut command = Command::new(check[0]);
            command
                .args(&check[1..])
                .arg(session.path("pages").join(&name));
            // The program is not installed.
            let Ok(output) = command.output() else {
                continue;
            };
            let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            // The same program has the same pages, whenever it was built.
            let said: Vec<&str> = said
                .lines()
                .filter(|line| !line.contains("missing date"))
                .collect();
            assert_eq!(said, Vec::<&str>::new(), "{name}: {check:?}");
        }
    }
}

#[test]
fn a_folder_that_is_a_file_is_an_error() {
    let session = Session::new();
    session.write("pages", "");
    let run = session.bundle(&["man", "pages"]).ends(2);
    assert!(
        run.stderr.contains("cannot make the folder pages"),
        "{}",
        run.stderr
    );
}

#[test]
fn pages_of_others_are_not_written_over() {
    let session = Session::new();
    session.bundle(&["man", "pages"]).ends(0);
    session.bundle(&["man", "pages"]).ends(0);
    // Ruby's Bundler has a page of that name.
    session.write("ruby/bundle-check.1", ".TH BUNDLE-CHECK 1\n");
    let run = session.bundle(&["man", "ruby"]).ends(2);
    assert!(
        run.stderr.contains("bundle-check.1 is in the way"),
        "{run:?}"
    );
    assert_eq!(session.names("ruby"), ["bundle-check.1"]);
    assert_eq!(session.text("ruby/bundle-check.1"), ".TH BUNDLE-CHECK 1\n");
}
