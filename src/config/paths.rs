//! From a path as written to a file that is there: `${NAME}`, the folder it is relative to, and why it is not there.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use std::sync::Arc;

use super::SourceFile;
use super::context::{Context, nearest};
use super::files::{Disk, Files, Kind};
use super::problem::Span;
use super::tree::{Data, Node};

/// A git-lfs pointer is shorter than this; only shorter files are opened to look for one.
const MAX_POINTER_BYTES: u64 = 1024;

/// How every git-lfs pointer begins (the git-lfs specification).
const POINTER_START: &[u8] = b"version https://git-lfs.github.com/spec/v1";

/// Folders with more files than this are not searched for a similar name.
const MAX_SEARCHED: usize = 2000;

/// What a config's paths depend on besides the config.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The working directory.
    pub directory: PathBuf,
    /// Looks up a variable of the environment.
    pub variable: fn(&str) -> Option<OsString>,
    /// Where the files are.
    pub files: Arc<dyn Files>,
    /// In a packed bundle: the name of the tracker's settings, which its config does not name.
    pub packed_tracker: Option<String>,
    /// Whether what tests expect is about to be recorded, and so need not be there yet.
    pub records_tests: bool,
    /// Whether what HiTMicTools' bundler takes is taken, and only warned of.
    pub lenient: bool,
}

impl Surroundings {
    /// Those of this process.
    pub fn of_process() -> Self {
        Self {
            directory: PathBuf::from("."),
            variable: |name| std::env::var_os(name),
            files: Arc::new(Disk),
            packed_tracker: None,
            records_tests: false,
            lenient: false,
        }
    }
}

/// The folder of a file.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// The file that a node names; complains and gives `None` if there is none. `what` is what it is to be: `the weights`.
pub(super) fn source_file(
    context: &mut Context<'_>,
    node: &Node,
    what: &str,
) -> Option<SourceFile> {
    let (file, expanded) = named_file(context, node, what)?;
    check_content(context, what, &expanded, &file, None)?;
    Some(file)
}

/// The file that a node names; if there is none, `help` says how to make it.
pub(super) fn made_file(
    context: &mut Context<'_>,
    node: &Node,
    what: &str,
    help: &str,
) -> Option<SourceFile> {
    let (file, expanded) = named_file(context, node, what)?;
    check_content(context, what, &expanded, &file, Some(help))?;
    Some(file)
}

/// The file that a node names, which may be one that is still to be written.
pub(super) fn future_file(
    context: &mut Context<'_>,
    node: &Node,
    what: &str,
) -> Option<SourceFile> {
    let (file, expanded) = named_file(context, node, what)?;
    if context.surroundings.files.exists(&file.path) {
        check_content(context, what, &expanded, &file, None)?;
    }
    Some(file)
}

/// The path that a node names, and its text with the variables in it expanded.
fn named_file(context: &mut Context<'_>, node: &Node, what: &str) -> Option<(SourceFile, String)> {
    let Data::String(text) = &node.data else {
        context.wrong_type(what, node, "a path, as text");
        return None;
    };
    let span = &node.span;
    if text.trim().is_empty() || text.contains('\0') {
        context.error(
            format!("{what}: this is no path"),
            span,
            "expected the path of a file",
        );
        return None;
    }
    let written = if cfg!(windows) {
        text.replace('\\', "/")
    } else {
        text.clone()
    };
    let expanded = expand(context, &written, span)?;
    let file = SourceFile {
        path: locate(context, Path::new(&expanded), span),
        written,
        span: span.clone(),
    };
    Some((file, expanded))
}

/// Complains of what is not a file with the content that its name promises; `help` is what to do if it is not there.
fn check_content(
    context: &mut Context<'_>,
    what: &str,
    expanded: &str,
    file: &SourceFile,
    help: Option<&str>,
) -> Option<()> {
    let SourceFile { path, span, .. } = file;
    let kind = match context.surroundings.files.kind(path) {
        Ok(kind) => kind,
        Err(error) => {
            missing(context, what, expanded, file, &error, help);
            return None;
        }
    };
    if kind == Kind::Folder {
        context
            .error(
                format!("{what}: expected a file, found a folder"),
                span,
                "this is a folder",
            )
            .set_help("name a file in it");
        return None;
    }
    let Kind::File { size } = kind else {
        context.error(
            format!("{what}: expected a plain file"),
            span,
            "a device, pipe or socket",
        );
        return None;
    };
    if size < MAX_POINTER_BYTES && is_lfs_pointer(&*context.surroundings.files, path) {
        context
            .complain(
                format!("{what}: the file is a git-lfs pointer, not the content"),
                span,
                "its content is not here",
            )
            .set_help(format!("run `git lfs pull --include \"{expanded}\"`"));
        return context.is_lenient().then_some(());
    }
    Some(())
}

/// Replaces each `${NAME}` with the variable's value.
fn expand(context: &mut Context<'_>, text: &str, span: &Span) -> Option<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        let Some((name, after)) = after.split_once('}') else {
            context
                .error("`${` has no end", span, "expected `${NAME}`")
                .set_help("add the closing `}`");
            return None;
        };
        if !is_variable_name(name) {
            let message = format!("`{name}` is no name of a variable");
            context.error(
                message,
                span,
                "expected `${NAME}` of letters, digits and `_`",
            );
            return None;
        }
        let value = (context.surroundings.variable)(name);
        let Some(value) = value.as_deref().and_then(|value| value.to_str()) else {
            let label = match value {
                None => format!("`{name}` is not set"),
                Some(_) => format!("the value of `{name}` is not UTF-8"),
            };
            context
                .error(format!("`${{{name}}}` cannot be expanded"), span, label)
                .set_help(format!("set it: export {name}=..."));
            return None;
        };
        out.push_str(value);
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

fn is_variable_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Relative paths are relative to the config; where nothing is there, to the working directory, as HiTMicTools has it.
/// Where what its bundler takes is taken, that comes first.
fn locate(context: &mut Context<'_>, path: &Path, span: &Span) -> PathBuf {
    let beside = context.folder().join(path);
    let files = &context.surroundings.files;
    let here = context.surroundings.directory.join(path);
    if context.is_lenient() && files.kind(&here).is_ok() {
        return here;
    }
    if path.is_absolute() || files.exists(&beside) {
        return beside;
    }
    if files.kind(&here).is_ok() {
        context.elsewhere.push(span.clone());
        return here;
    }
    beside
}

fn missing(
    context: &mut Context<'_>,
    what: &str,
    expanded: &str,
    file: &SourceFile,
    error: &io::Error,
    help: Option<&str>,
) {
    let SourceFile { path, span, .. } = file;
    let message = format!("{what}: no such file");
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            let help = missing_help(context, expanded, path, help);
            let label = format!("`{}` does not exist", path.display());
            context
                .error(message, span, label)
                .set_help(help)
                .set_of_missing_file();
        }
        _ => {
            let message = format!("{what}: the file cannot be read");
            context.error(message, span, error.to_string());
        }
    }
}

/// What to do about a file that is not there.
fn missing_help(context: &Context<'_>, expanded: &str, path: &Path, help: Option<&str>) -> String {
    let dvc = path
        .ancestors()
        .take_while(|ancestor| ancestor.file_name().is_some())
        .map(|ancestor| {
            let mut name = ancestor.as_os_str().to_owned();
            name.push(".dvc");
            PathBuf::from(name)
        })
        .find(|dvc| dvc.is_file());
    if let Some(dvc) = dvc {
        return format!("`{0}` stands for it: run `dvc pull {0}`", dvc.display());
    }
    if expanded.starts_with('~') {
        return "`~` is not expanded; write ${HOME}".to_owned();
    }
    if let Some(help) = help {
        return help.to_owned();
    }
    if let Some(name) = similar_file(path) {
        return format!("did you mean `{name}`?");
    }
    if Path::new(expanded).is_absolute() {
        return "check the path".to_owned();
    }
    let folder = context.folder().display();
    format!(
        "relative paths are relative to the config's folder, `{folder}`, then to the working directory"
    )
}

/// The name of a file beside `path` whose name is nearly that of `path`.
fn similar_file(path: &Path) -> Option<String> {
    let wanted = path.file_name()?.to_str()?;
    let mut names: Vec<String> = fs::read_dir(folder_of(path))
        .ok()?
        .take(MAX_SEARCHED)
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort_unstable();
    nearest(wanted, names.iter().map(String::as_str)).map(str::to_owned)
}

fn is_lfs_pointer(files: &dyn Files, path: &Path) -> bool {
    // A file of `/proc` says that it is empty, and may go on for ever.
    files
        .read_at_most(path, MAX_POINTER_BYTES)
        .is_ok_and(|bytes| bytes.starts_with(POINTER_START))
}
