//! Flags -> options -> one operation -> printing: the only place that prints, exits, or renders a report.

mod args;
mod bars;
mod build;
mod cache;
mod card;
mod check;
mod device_check;
mod devices;
mod diff;
mod init;
mod lock;
mod man;
mod printer;
mod profile;
mod run;
mod show;
mod start;
mod table;
mod test;
mod test_devices;
mod unpack;
mod verify;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use miette::Diagnostic;

use self::args::{Cli, Command};
use self::bars::Bars;
use self::printer::Printer;
use crate::project::find_config;

/// How a command ends if nothing breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// Exit status 0.
    Yes,
    /// Exit status 1: stale, mismatch, damaged bundle.
    No,
}

/// Why a command could not run.
enum Failure {
    /// Exit status 2, with a report.
    Error(Box<dyn Diagnostic + Send + Sync>),
    /// Exit status 1, with a report: the contents of a bundle are at fault.
    Refused(Box<dyn Diagnostic + Send + Sync>),
    /// Standard output is closed or full.
    Output(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// What a command gets besides its flags.
struct Context {
    printer: Printer,
    progress: Bars,
}

type Outcome = Result<Answer, Failure>;

/// Runs the program.
pub fn main() -> ExitCode {
    ExitCode::from(main_with(std::env::args_os()))
}

/// Runs the program as if it had been called with these arguments, its own name the first; gives its exit status. What
/// is wrong with the arguments themselves, and `--help`, end the process.
pub fn main_with(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let cli = Cli::parse_from(arguments);
    bars::catch_interrupts();
    let printer = Printer::new(&cli.global);
    let context = Context {
        printer,
        progress: Bars::new(printer),
    };
    let outcome = match cli.command {
        Some(command) => run(command, &context),
        None => start::run(&context),
    };
    match outcome {
        Ok(Answer::Yes) => 0,
        Ok(Answer::No) => 1,
        Err(failure) => report(failure, &context),
    }
}

/// What the program says of an error or a warning, without colour.
pub fn plain_report(diagnostic: &dyn Diagnostic) -> String {
    printer::plain(diagnostic)
}

fn report(failure: Failure, context: &Context) -> u8 {
    crate::progress::Progress::end(&context.progress);
    if crate::progress::Progress::interrupted(&context.progress) {
        context
            .printer
            .refusal("Stopped", "nothing half-written was left");
        return 130;
    }
    match failure {
        Failure::Error(error) => {
            context.printer.error(&*error);
            2
        }
        Failure::Refused(error) => {
            context.printer.error(&*error);
            1
        }
        // The reader of a pipe has seen enough.
        Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
        Failure::Output(error) => {
            let error =
                miette::MietteDiagnostic::new(format!("cannot write to standard output: {error}"));
            context.printer.error(&error);
            2
        }
    }
}

fn run(command: Command, context: &Context) -> Outcome {
    match command {
        Command::Init(args) => init::run(args, context),
        Command::Lock(args) => lock::run(args, context),
        Command::Build(args) => build::run(args, context),
        Command::Create(args) => build::create(args, context),
        Command::CreateMbundle(args) => build::create_mbundle(args, context),
        Command::Verify(args) => verify::run(args, context),
        Command::Check(args) => check::run(args, context),
        Command::Show(args) => show::run(args, context),
        Command::Card(args) => card::run(args, context),
        Command::Diff(args) => diff::run(args, context),
        Command::Unpack(args) => unpack::run(args, context),
        Command::Run(args) => run::run(args, context),
        Command::Test(args) => test::run(args, context),
        Command::Devices(args) => devices::run(args, context),
        Command::Cache(args) => cache::run(args, context),
        Command::Completions(args) => {
            let mut script = Vec::new();
            clap_complete::generate(args.shell, &mut Cli::command(), own_name(), &mut script);
            context.printer.out(String::from_utf8_lossy(&script))?;
            Ok(Answer::Yes)
        }
        Command::Man(args) => man::run(args, context),
    }
}

/// The name that this program was called by: that of one of its two files.
fn own_name() -> &'static str {
    let called = std::env::args_os().next().map(PathBuf::from);
    match called.as_deref().and_then(Path::file_stem) {
        Some(stem) if stem == "model-bundle" => "model-bundle",
        _ => "bundle",
    }
}

/// The config that the flags name, or the nearest one.
fn config(argument: Option<PathBuf>) -> Result<PathBuf, Failure> {
    match argument {
        Some(path) => Ok(path),
        None => find_config(".".as_ref()).map_err(error),
    }
}

fn error(error: impl Diagnostic + Send + Sync + 'static) -> Failure {
    Failure::Error(Box::new(error))
}

/// What is wrong with the contents of a bundle is an answer; anything else is a command that could not run.
fn refusal_or_error(is_refusal: bool, error: impl Diagnostic + Send + Sync + 'static) -> Failure {
    match is_refusal {
        true => Failure::Refused(Box::new(error)),
        false => Failure::Error(Box::new(error)),
    }
}

/// A report as JSON: the schema's version, the command, and the report's own fields.
#[derive(serde::Serialize)]
struct Json<'a, T> {
    version: u32,
    command: &'static str,
    #[serde(flatten)]
    report: &'a T,
}

impl<'a, T> Json<'a, T> {
    fn new(command: &'static str, report: &'a T) -> Self {
        Self {
            version: 1,
            command,
            report,
        }
    }
}
