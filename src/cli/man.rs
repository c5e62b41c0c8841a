//! `bundle man`: manual pages, one for each command, made from what `--help` says.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, roman};

use super::args::{Cli, ManArgs};
use super::printer::count;
use super::{Answer, Context, Outcome, error};
use crate::atomic;

/// Why pages were not written.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
enum Error {
    #[error("cannot make the folder {}: {error}", path.display())]
    Folder { path: PathBuf, error: io::Error },
    #[error("{} is in the way: `bundle man` did not write it", path.display())]
    #[diagnostic(help(
        "name another folder, or move it away first; Ruby's Bundler has pages of such names"
    ))]
    Foreign { path: PathBuf },
    #[error("cannot write {}: {error}", path.display())]
    Write { path: PathBuf, error: io::Error },
}

pub fn run(args: ManArgs, context: &Context) -> Outcome {
    let pages = pages();
    let Some(dir) = args.dir else {
        context.printer.out(&pages[0].text)?;
        return Ok(Answer::Yes);
    };
    write(&dir, &pages).map_err(error)?;
    let written = count(pages.len(), "page");
    context
        .printer
        .status("Wrote", format_args!("{written} into {}", dir.display()));
    Ok(Answer::Yes)
}

/// How a page begins: with a remark, by which it is known for one of this program.
const MARK: &str = ".\\\" Written by `bundle man`.\n";

/// Writes all pages, or none if something is in the way of one.
fn write(dir: &Path, pages: &[Page]) -> Result<(), Error> {
    for page in pages {
        let path = dir.join(&page.file_name);
        if path.symlink_metadata().is_ok() && !is_own(&path) {
            return Err(Error::Foreign { path });
        }
    }
    fs::create_dir_all(dir).map_err(|error| Error::Folder {
        path: dir.to_owned(),
        error,
    })?;
    for page in pages {
        let path = dir.join(&page.file_name);
        atomic::write(&path, page.text.as_bytes()).map_err(|error| Error::Write { path, error })?;
    }
    Ok(())
}

/// Whether a page of this program is there, of whatever version.
fn is_own(path: &Path) -> bool {
    let mut start = Vec::new();
    let is_file = path.symlink_metadata().is_ok_and(|found| found.is_file());
    is_file
        && fs::File::open(path)
            .and_then(|file| file.take(MARK.len() as u64).read_to_end(&mut start))
            .is_ok()
        && start == MARK.as_bytes()
}

/// A page of section 1, in roff's `man` macros.
struct Page {
    /// Such as `bundle-cache-prune.1`, which `man bundle cache prune` looks for.
    file_name: String,
    text: String,
}

/// The page of the program, and then one for each command and each command of a command.
fn pages() -> Vec<Page> {
    let mut program = Cli::command()
        .disable_help_subcommand(true)
        .subcommand_value_name("COMMAND");
    program.build();
    let mut pages = Vec::new();
    add(&mut pages, &program, &[]);
    pages
}

fn add(pages: &mut Vec<Page>, command: &Command, parents: &[&Command]) {
    pages.push(page(command, parents));
    let parents = [parents, &[command]].concat();
    for child in command.get_subcommands() {
        add(pages, child, &parents);
    }
}

fn page(command: &Command, parents: &[&Command]) -> Page {
    // Its examples would be filled into one paragraph, and the version stands at the foot of each page.
    let bare = command
        .clone()
        .after_help(None::<&str>)
        .version(None::<&str>)
        .override_usage(usage(command))
        .subcommand_help_heading("COMMANDS");
    let man = Man::new(bare)
        .title(name(command).to_uppercase())
        // No date, as a program is the same whenever it is built: an empty argument, which `roff` would leave out.
        .date("\"\"")
        .source(concat!("bundle ", env!("CARGO_PKG_VERSION")))
        .manual("Bundle Manual");
    let mut text = Vec::new();
    man.render(&mut text)
        .expect("writing to memory does not fail");
    let text = String::from_utf8(text).expect("the texts of the command line are UTF-8");
    // Before the values of an option: readers of pages warn of an empty line.
    let text = text.replace(".br\n\n.br\n", ".sp\n");
    Page {
        file_name: man.get_filename(),
        text: MARK.to_owned() + &text + &ending(command, parents).to_roff(),
    }
}

/// The usage as `--help` has it, which names the values of options that must be there.
fn usage(command: &Command) -> String {
    let usage = command.clone().render_usage().to_string();
    usage.trim_start_matches("Usage: ").to_owned()
}

/// The command's name as one word.
fn name(command: &Command) -> &str {
    command
        .get_display_name()
        .unwrap_or_else(|| command.get_name())
}

/// What follows the options: the examples, line for line, what is said after them, the exit status, and the other pages.
fn ending(command: &Command, parents: &[&Command]) -> Roff {
    let mut roff = Roff::new();
    let help = after_help(command);
    roff.control("SH", ["EXAMPLES"]).control("nf", []);
    for example in help.lines().filter_map(|line| line.strip_prefix("  ")) {
        roff.text([roman(example)]);
    }
    roff.control("fi", []);
    for remark in help.lines().filter(|line| is_remark(line)) {
        roff.control("PP", []).text([roman(remark)]);
    }
    let program = parents.first().copied().unwrap_or(command);
    let program_help = after_help(program);
    let status = program_help
        .lines()
        .find_map(|line| line.strip_prefix(EXIT_STATUS));
    if let Some(status) = status {
        roff.control("SH", ["EXIT STATUS"]).text([roman(status)]);
    }
    if let Some(parent) = parents.last() {
        // Names of pages are not broken at the end of a line.
        roff.control("SH", ["SEE ALSO"])
            .control("ad", ["l"])
            .control("nh", [])
            .text(see_also(parent, command));
    }
    roff
}

/// How the line of the program's help begins that says what an exit status means.
const EXIT_STATUS: &str = "Exit status: ";

/// Whether a line after the options is neither an example, nor their heading, nor of the exit status.
fn is_remark(line: &str) -> bool {
    let is_example = line.starts_with("  ") || ["Example:", "Examples:"].contains(&line);
    !(line.is_empty() || is_example || line.starts_with(EXIT_STATUS))
}

fn after_help(command: &Command) -> String {
    command
        .get_after_help()
        .map(ToString::to_string)
        .unwrap_or_default()
}

/// The page above, and those beside this one.
fn see_also(parent: &Command, command: &Command) -> Vec<Inline> {
    let beside = parent
        .get_subcommands()
        .filter(|other| other.get_name() != command.get_name());
    let mut line = Vec::new();
    for other in std::iter::once(parent).chain(beside) {
        if !line.is_empty() {
            line.push(roman(", "));
        }
        line.extend([bold(name(other)), roman("(1)")]);
    }
    line
}
