//! Which files are read and which are written: inputs, patterns and worklists -> jobs, with every clash found before any work.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::digest::read_at_most;

/// What the user named.
#[derive(Clone, Debug, Default)]
pub struct Named {
    /// Files, or patterns of them.
    pub inputs: Vec<PathBuf>,
    /// A text file of paths, one a line, as HiTMicTools takes it.
    pub worklist: Option<PathBuf>,
    /// Where the labels of the inputs are: a file, or for many inputs a folder.
    pub labels: Option<PathBuf>,
    /// A file, or for many inputs a folder.
    pub output: PathBuf,
    /// Where pictures go: a file, or for many inputs a folder.
    pub preview: Option<PathBuf>,
}

/// One input, and where what is made of it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub input: PathBuf,
    pub labels: Option<PathBuf>,
    pub output: PathBuf,
    pub preview: Option<PathBuf>,
}

impl Job {
    /// The files that are read.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(&self.input)
            .chain(&self.labels)
            .map(PathBuf::as_path)
    }
}

/// What there is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jobs {
    pub jobs: Vec<Job>,
    /// Whether the outputs go into a folder that was named.
    pub in_folder: bool,
}

/// Why the files that were named make no sense together.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum JobError {
    #[error("no input was named")]
    #[diagnostic(help("name one with `-i FILE`, or a list of them with `--worklist LIST.txt`"))]
    NoInput,
    #[error("cannot read the worklist {}: {error}", path.display())]
    #[diagnostic(help("a worklist is a text file with the path of an input in each line"))]
    Worklist { path: PathBuf, error: String },
    #[error("the worklist {} names no file", path.display())]
    #[diagnostic(help("a worklist is a text file with the path of an input in each line"))]
    EmptyWorklist { path: PathBuf },
    #[error("`{pattern}` cannot be understood as a pattern: {reason}")]
    #[diagnostic(help(
        "`*` stands for any text, `?` for a character, `[ab]` for one of several, `**` for folders"
    ))]
    Pattern { pattern: String, reason: String },
    #[error("`{pattern}` matches {}, whose name is no UTF-8 text and which a pattern does not name", path.display())]
    #[diagnostic(help("rename it, or leave the pattern to the shell: without quotes"))]
    NameNotUtf8 { pattern: String, path: PathBuf },
    #[error("no file matches `{pattern}`")]
    #[diagnostic(help("relative patterns start from the working directory"))]
    NoMatch { pattern: String },
    #[error("{}", missing(paths))]
    #[diagnostic(help("check the names; relative paths start from the working directory"))]
    Missing { paths: Vec<PathBuf> },
    #[error("{} is a folder, not a file", path.display())]
    #[diagnostic(help("name the files in it with a pattern: `-i '{}'`", path.join("*.tif").display()))]
    Folder { path: PathBuf },
    #[error("{} is no file to write into: it is {what}", path.display())]
    #[diagnostic(help("name another output"))]
    Odd { path: PathBuf, what: &'static str },
    #[error("a list of inputs ({count} here) goes into a folder, and {} is named as a file", path.display())]
    #[diagnostic(help("name a folder: `-o {}/`", path.with_extension("").display()))]
    ManyIntoOne { path: PathBuf, count: usize },
    #[error("{option} {} must be a folder where there are many inputs", path.display())]
    #[diagnostic(help("{help}"))]
    NeedsFolder {
        option: &'static str,
        path: PathBuf,
        help: &'static str,
    },
    #[error("the {what} {} is of no type that is written for this model, by its name", path.display())]
    #[diagnostic(help("end it with {}, or with `/` for a folder", endings(known)))]
    Extension {
        what: &'static str,
        path: PathBuf,
        known: &'static [&'static str],
    },
    #[error("{option} `-`: only files are read and written, and no pipes")]
    #[diagnostic(help("name a file; one that is called so is `./-`"))]
    Stream { option: &'static str },
    #[error("there is no label image for {} in {}", input.display(), folder.display())]
    #[diagnostic(help("the labels of an input have its name, or the one that segmentation gives them: `{}` or `{}_segmentation.tif`", folder.join(input.file_name().unwrap_or_default()).display(), folder.join(stem(input)).display()))]
    NoLabels { input: PathBuf, folder: PathBuf },
    #[error("the output {} is the {role}", path.display())]
    #[diagnostic(help("name another output: what is read is never written over"))]
    Overwrites { path: PathBuf, role: &'static str },
    #[error("{}, one of the inputs, is where the result of {} goes: an earlier result is among the inputs", path.display(), input.display())]
    #[diagnostic(help(
        "write results into a folder of their own (`-o results/`), or name a pattern that leaves them out"
    ))]
    ResultAmongInputs { path: PathBuf, input: PathBuf },
    #[error("{} and {} would both be written to {}", first.display(), second.display(), output.display())]
    #[diagnostic(help("run them one at a time, each with an output folder of its own"))]
    Collision {
        first: PathBuf,
        second: PathBuf,
        output: PathBuf,
    },
}

fn missing(paths: &[PathBuf]) -> String {
    let names: Vec<String> = paths
        .iter()
        .take(5)
        .map(|path| path.display().to_string())
        .collect();
    let more = match paths.len().saturating_sub(names.len()) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    let verb = if paths.len() == 1 { "is" } else { "are" };
    format!("{}{more} {verb} not there", names.join(", "))
}

fn endings(known: &[&str]) -> String {
    let quoted: Vec<String> = known.iter().map(|x| format!("`.{x}`")).collect();
    quoted.join(" or ")
}

/// The jobs that the user named, in order, each input once. `key` is that of the model; `types` are the file types that
/// it can write, the first being that of files in folders.
///
/// # Errors
/// [`JobError`]: nothing has been written then.
pub fn plan(
    named: &Named,
    key: &str,
    types: &'static [&'static str],
    bundle: &Path,
) -> Result<Jobs, JobError> {
    check_streams(named)?;
    let (inputs, many) = inputs(named)?;
    let folder = is_folder(&named.output) || many;
    if many && has_type(&named.output, types) && !named.output.is_dir() {
        return Err(JobError::ManyIntoOne {
            path: named.output.clone(),
            count: inputs.len(),
        });
    }
    if !folder && !has_type(&named.output, types) {
        let path = named.output.clone();
        return Err(JobError::Extension {
            what: "output",
            path,
            known: types,
        });
    }
    if folder {
        check_folder(&named.output)?;
    }
    let mut jobs = Vec::new();
    for input in inputs {
        let named_in = |folder: &Path, extension: &str| {
            let stem = stem(&input);
            folder.join(format!("{stem}_{key}.{extension}"))
        };
        let output = match folder {
            true => named_in(&named.output, types[0]),
            false => named.output.clone(),
        };
        let preview = named
            .preview
            .as_ref()
            .map(|preview| preview_of(preview, [many, folder], named_in));
        jobs.push(Job {
            labels: labels_of(named, &input, many)?,
            output,
            preview: preview.transpose()?,
            input,
        });
    }
    check_outputs(&jobs, bundle)?;
    let in_folder = folder;
    Ok(Jobs { jobs, in_folder })
}

/// Complains of a dash, by which other programs mean standard input and output: a stack is read back and forth, and
/// a result appears whole.
fn check_streams(named: &Named) -> Result<(), JobError> {
    let inputs = named.inputs.iter().map(|path| ("--input", path));
    let others = [
        ("--worklist", &named.worklist),
        ("--labels", &named.labels),
        ("--preview", &named.preview),
    ];
    let others = others
        .into_iter()
        .filter_map(|(option, path)| path.as_ref().map(|path| (option, path)));
    let mut all = inputs.chain(others).chain([("--output", &named.output)]);
    match all.find(|(_, path)| path.as_os_str() == "-") {
        Some((option, _)) => Err(JobError::Stream { option }),
        None => Ok(()),
    }
}

/// The files that are read, in the order in which they were named, and whether there may be many.
fn inputs(named: &Named) -> Result<(Vec<PathBuf>, bool), JobError> {
    let mut many = named.inputs.len() > 1 || named.worklist.is_some();
    let mut paths = Vec::new();
    for input in &named.inputs {
        if is_pattern(input) {
            many = true;
            paths.extend(matches(input)?);
        } else {
            paths.push(input.clone());
        }
    }
    if let Some(worklist) = &named.worklist {
        paths.extend(listed(worklist)?);
    }
    let mut seen = std::collections::HashSet::new();
    paths.retain(|path| seen.insert(path.clone()));
    if paths.is_empty() {
        return Err(JobError::NoInput);
    }
    if let Some(path) = paths.iter().find(|path| path.is_dir()) {
        let path = path.clone();
        return Err(JobError::Folder { path });
    }
    let gone: Vec<PathBuf> = paths
        .iter()
        .filter(|path| !path.exists())
        .cloned()
        .collect();
    match gone.is_empty() {
        true => Ok((paths, many)),
        false => Err(JobError::Missing { paths: gone }),
    }
}

/// Whether a name that no file has is a pattern that the shell left to us.
fn is_pattern(path: &Path) -> bool {
    !path.exists() && path.to_string_lossy().contains(['*', '?', '['])
}

fn matches(pattern: &Path) -> Result<Vec<PathBuf>, JobError> {
    let pattern = pattern.to_string_lossy().into_owned();
    let found = glob::glob(&pattern).map_err(|error| JobError::Pattern {
        pattern: pattern.clone(),
        reason: error.msg.to_owned(),
    })?;
    // Folders that may not be read hold nothing for us.
    let mut found: Vec<PathBuf> = found.flatten().filter(|path| path.is_file()).collect();
    found.sort();
    if let Some(path) = unnamed(Path::new(&pattern)) {
        return Err(JobError::NameNotUtf8 { pattern, path });
    }
    match found.is_empty() {
        true => Err(JobError::NoMatch { pattern }),
        false => Ok(found),
    }
}

/// A file in the pattern's folder that it would match if its name were text, which [`glob`] passes over.
fn unnamed(pattern: &Path) -> Option<PathBuf> {
    let names = pattern.file_name()?.to_str()?;
    let names = glob::Pattern::new(names).ok()?;
    let entries = std::fs::read_dir(crate::atomic::folder_of(pattern)).ok()?;
    let entries = entries.flatten().map(|entry| entry.path());
    let mut unnamed = entries.filter(|path| {
        let name = path.file_name().unwrap_or_default();
        name.to_str().is_none() && names.matches(&name.to_string_lossy()) && path.is_file()
    });
    unnamed.next()
}

/// No worklist is larger than this.
const MAX_WORKLIST: u64 = 64 << 20;

/// The paths of a worklist: a line each, spaces around it and empty lines passed over, as HiTMicTools reads it.
fn listed(worklist: &Path) -> Result<Vec<PathBuf>, JobError> {
    let unreadable = |error: String| JobError::Worklist {
        path: worklist.to_owned(),
        error,
    };
    let bytes =
        read_at_most(worklist, MAX_WORKLIST).map_err(|error| unreadable(error.to_string()))?;
    if bytes.len() as u64 > MAX_WORKLIST {
        return Err(unreadable("it is larger than 64 MiB".to_owned()));
    }
    let text =
        String::from_utf8(bytes).map_err(|_| unreadable("it is not UTF-8 text".to_owned()))?;
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(&text);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let paths: Vec<PathBuf> = lines.map(PathBuf::from).collect();
    match paths.is_empty() {
        true => Err(JobError::EmptyWorklist {
            path: worklist.to_owned(),
        }),
        false => Ok(paths),
    }
}

/// Whether a path that was named for writing is a folder: one that is there, or a name with a slash at its end.
fn is_folder(path: &Path) -> bool {
    let text = path.to_string_lossy();
    path.is_dir() || text.ends_with('/') || text.ends_with(std::path::MAIN_SEPARATOR)
}

fn check_folder(path: &Path) -> Result<(), JobError> {
    match path.exists() && !path.is_dir() {
        true => Err(JobError::Odd {
            path: path.to_owned(),
            what: "a file, and a folder is wanted",
        }),
        false => Ok(()),
    }
}

/// Whether a name ends as one of these types of files do.
fn has_type(path: &Path, types: &[&str]) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|found| types.iter().any(|known| found.eq_ignore_ascii_case(known)))
}

/// The name of an input without its type: `a` of `a.tif` and of `a.ome.tif`.
fn stem(input: &Path) -> String {
    let stem = input.file_stem().unwrap_or_default().to_string_lossy();
    match stem.strip_suffix(".ome") {
        Some(stem) => stem.to_owned(),
        None => stem.into_owned(),
    }
}

fn labels_of(named: &Named, input: &Path, many: bool) -> Result<Option<PathBuf>, JobError> {
    let Some(labels) = &named.labels else {
        return Ok(None);
    };
    if !labels.exists() {
        let paths = vec![labels.clone()];
        return Err(JobError::Missing { paths });
    }
    if !labels.is_dir() {
        return match many {
            false => Ok(Some(labels.clone())),
            true => Err(JobError::NeedsFolder {
                option: "--labels",
                path: labels.clone(),
                help: "the label image of each input has its name in that folder",
            }),
        };
    }
    let name = input.file_name().unwrap_or_default();
    let stem = stem(input);
    let others = ["", "_segmentation"].into_iter().flat_map(|end| {
        ["tif", "tiff", "png", "npy"]
            .map(|extension| labels.join(format!("{stem}{end}.{extension}")))
    });
    let mut names = std::iter::once(labels.join(name)).chain(others);
    let found = names.find(|path| path.is_file());
    found.map(Some).ok_or_else(|| JobError::NoLabels {
        input: input.to_owned(),
        folder: labels.clone(),
    })
}

fn preview_of(
    preview: &Path,
    [many, folder]: [bool; 2],
    named_in: impl Fn(&Path, &str) -> PathBuf,
) -> Result<PathBuf, JobError> {
    // Pictures of results in a folder are in one as well, whether it is there yet or not.
    if is_folder(preview) || (folder && !has_type(preview, &["png"])) {
        check_folder(preview)?;
        return Ok(named_in(preview, "png"));
    }
    if many {
        return Err(JobError::NeedsFolder {
            option: "--preview",
            path: preview.to_owned(),
            help: "a picture of each input goes into that folder",
        });
    }
    match has_type(preview, &["png"]) {
        true => Ok(preview.to_owned()),
        false => Err(JobError::Extension {
            what: "picture",
            path: preview.to_owned(),
            known: &["png"],
        }),
    }
}

/// Complains of files that would be written twice, or over what is read, and of what no file can replace.
fn check_outputs(jobs: &[Job], bundle: &Path) -> Result<(), JobError> {
    let mut written: HashMap<String, &Path> = HashMap::new();
    let mut read: HashMap<FileId, (&'static str, &Path)> = HashMap::new();
    read.extend(FileId::of(bundle).map(|id| (id, ("bundle", bundle))));
    for job in jobs {
        read.extend(FileId::of(&job.input).map(|id| (id, ("input", job.input.as_path()))));
        let labels = job.labels.as_deref();
        let id = labels.and_then(|labels| Some((FileId::of(labels)?, labels)));
        read.extend(id.map(|(id, labels)| (id, ("label image", labels))));
    }
    for job in jobs {
        for output in std::iter::once(&job.output).chain(&job.preview) {
            if let Some((role, file)) = FileId::of(output).and_then(|id| read.get(&id)) {
                let (path, input) = (output.clone(), job.input.clone());
                return Err(match *role == "input" && *file != input {
                    true => JobError::ResultAmongInputs { path, input },
                    false => JobError::Overwrites { path, role },
                });
            }
            match fs::metadata(output) {
                Ok(found) if found.is_dir() => {
                    return Err(JobError::Odd {
                        path: output.clone(),
                        what: "a folder",
                    });
                }
                Ok(found) if !found.is_file() => {
                    return Err(JobError::Odd {
                        path: output.clone(),
                        what: "a device, a pipe or a socket",
                    });
                }
                _ => {}
            }
            // Some file systems do not tell capitals from small letters.
            let name = output.to_string_lossy().to_lowercase();
            if let Some(first) = written.insert(name, &job.input) {
                return Err(JobError::Collision {
                    first: first.to_owned(),
                    second: job.input.clone(),
                    output: output.clone(),
                });
            }
        }
    }
    Ok(())
}

/// What tells one file from another, whatever path leads to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct FileId(#[cfg(unix)] (u64, u64), #[cfg(not(unix))] PathBuf);

impl FileId {
    /// `None` if there is no file.
    fn of(path: &Path) -> Option<Self> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let found = fs::metadata(path).ok()?;
            Some(Self((found.dev(), found.ino())))
        }
        #[cfg(not(unix))]
        fs::canonicalize(path).ok().map(Self)
    }
}
