//! `bundle build`: the lock and the ZIP brought up to date.
//!
//! What is written appears in the order ZIP, `.sha256`, lock, each whole or not at all. A build that dies between
//! them leaves a lock that does not fit, and the next build does the rest.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::archive::{self, Archive, Entry, WriteError};
use crate::atomic::{self, AtomicFile, folder_of};
use crate::cache::{Built, Cache, CacheError, Record, Stamp, record_key};
use crate::config::{Surroundings, Warning};
use crate::created::Created;
use crate::digest::{Contents, Sha256, open_regular, read_at_most};
use crate::lockfile::{self, ArchivePin, Lockfile};
use crate::plan::{Knowledge, Output, Plan, plan, why_read};
use crate::progress::{Phase, Progress};
use crate::project::{Project, ProjectError};
use crate::resolve::{ResolveError, Resolved};

/// What to build, and how.
#[derive(Clone, Debug)]
pub struct Options {
    pub config: PathBuf,
    /// Where the ZIP goes; by default beside the config, under the config's name for it.
    pub output: Option<PathBuf>,
    /// Whether the date is put into the file name; by default as the config says.
    pub auto_date: Option<bool>,
    /// Refuse a lock that is not up to date, and write none.
    pub locked: bool,
    /// Write nothing.
    pub dry_run: bool,
    /// Replace an output that is no bundle.
    pub force: bool,
    /// Whether weights that do not fit their declared network are an error.
    pub check_architecture: bool,
    /// Whether what HiTMicTools' bundler takes of a config is packed, and only warned of.
    pub lenient: bool,
}

/// What was built.
#[derive(Debug, Serialize)]
pub struct Report {
    #[serde(flatten)]
    pub outcome: Outcome,
    pub output: PathBuf,
    /// The finished ZIP, if it is known.
    pub archive: Option<ArchivePin>,
    pub lock: PathBuf,
    pub models: usize,
    pub plan: Plan,
    #[serde(skip)]
    pub warnings: Vec<Warning>,
    /// Why nothing could be remembered, if so.
    pub cache_problem: Option<String>,
}

/// How a build ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    UpToDate,
    Built,
    /// A dry run; the plan says what there is to do.
    Planned,
    /// `--locked`, and the lock is not up to date. Nothing was written.
    Stale,
    /// `--locked`, and the ZIP would not be the one that the lock pins. Nothing was written.
    NotReproduced {
        expected: ArchivePin,
        found: ArchivePin,
    },
}

/// Why nothing was built.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    #[error(transparent)]
    #[diagnostic(transparent)]
    Project(#[from] ProjectError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Resolve(#[from] ResolveError),
    #[error("the output {} does not end in `.zip`", path.display())]
    #[diagnostic(help("HiTMicTools loads only `.zip` files: name it `{}`", path.with_extension("zip").display()))]
    NotZip { path: PathBuf },
    #[error("{} is in the way: it is no {expected}", path.display())]
    #[diagnostic(help("name another output with `-o`, or replace it with `--force`"))]
    InTheWay {
        path: PathBuf,
        expected: &'static str,
    },
    #[error("{} is a folder", path.display())]
    #[diagnostic(help("name a file in it: `-o {}`", path.join("bundle.zip").display()))]
    Folder { path: PathBuf },
    #[error("the build would write over {}, which the bundle is made from", path.display())]
    #[diagnostic(help("name another output with `-o`"))]
    OwnSource { path: PathBuf },
    #[error("cannot read {}: {error}", path.display())]
    Read { path: PathBuf, error: io::Error },
    #[error("cannot write {}: {error}", path.display())]
    #[diagnostic(help(
        "check that its folder is writable and the disk is not full; nothing half-written was left"
    ))]
    Write { path: PathBuf, error: io::Error },
    #[error(transparent)]
    Archive(WriteError),
}

impl Error {
    /// Whether the contents of weights are at fault.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Resolve(error) if error.is_refusal())
    }
}

/// Brings lock and ZIP up to date.
///
/// # Errors
/// Fails if the project is invalid, a file cannot be read or written, or a source changes under the build.
pub fn build(
    options: &Options,
    cache: Result<Cache, CacheError>,
    progress: &dyn Progress,
) -> Result<Report, Error> {
    check_extension(options.output.as_deref())?;
    let surroundings = Surroundings {
        lenient: options.lenient,
        ..Surroundings::of_process()
    };
    let mut project = Project::open_in(&options.config, &surroundings, cache, progress)?;
    let mut resolved = project.resolve(options.check_architecture, progress)?;
    let output = output_path(options, &project, &resolved.lock);
    let state = observe(&mut project, &resolved.lock, &output, progress)?;
    let plan = plan(Knowledge {
        old: project.lock.as_ref(),
        new: &resolved.lock,
        date_is_pinned: project.config.created.is_some(),
        read: &resolved.read,
        line_endings: &resolved.line_endings,
        output: state,
    });

    let outcome = if options.locked && !plan.lock_is_up_to_date() {
        Outcome::Stale
    } else if options.dry_run {
        Outcome::Planned
    } else {
        check_targets(options, &project, &output)?;
        if plan.builds() {
            write(options, &mut project, &mut resolved, &output, progress)?
        } else {
            let Output::Known { archive, .. } = state else {
                unreachable!("only a known output is up to date")
            };
            resolved.lock.archive = Some(archive);
            Outcome::UpToDate
        }
    };
    if matches!(outcome, Outcome::Built | Outcome::UpToDate) {
        finish(options, &project, &resolved.lock, &output)?;
    }
    project.remember();
    Ok(Report {
        outcome,
        output,
        archive: resolved.lock.archive,
        lock: project.lock_path,
        models: resolved.lock.models.len(),
        plan,
        warnings: [project.config.warnings, resolved.warnings].concat(),
        cache_problem: project.cache.err().map(|error| error.to_string()),
    })
}

fn check_extension(output: Option<&Path>) -> Result<(), Error> {
    match output {
        Some(path) if path.extension().is_none_or(|extension| extension != "zip") => {
            let path = path.to_owned();
            Err(Error::NotZip { path })
        }
        _ => Ok(()),
    }
}

/// Where the ZIP goes: HiTMicTools' rule, with the lock's date in place of today's.
fn output_path(options: &Options, project: &Project, lock: &Lockfile) -> PathBuf {
    let config = &project.config;
    let path = options.output.clone().unwrap_or_else(|| {
        let name = format!("{}.zip", config.name);
        config.path.with_file_name(name)
    });
    match lock.created {
        Some(created) if options.auto_date.unwrap_or(config.auto_date) => dated(&path, created),
        _ => path,
    }
}

fn dated(path: &Path, created: Created) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!("_{}.zip", created.compact_date()));
    path.with_file_name(name)
}

/// What is at the output's path, read only if that can spare a build.
fn observe(
    project: &mut Project,
    lock: &Lockfile,
    output: &Path,
    progress: &dyn Progress,
) -> Result<Output, Error> {
    let read_error = |error| Error::Read {
        path: output.to_owned(),
        error,
    };
    let stamp = match Stamp::of(output) {
        Ok(stamp) => stamp,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Output::Missing),
        Err(error) => return Err(read_error(error)),
    };
    if output.is_dir() {
        let path = output.to_owned();
        return Err(Error::Folder { path });
    }
    let key = record_key(output).map_err(read_error)?;
    let record = project.records.outputs.get(&key);
    let record = record.filter(|record| why_read(&stamp, Some(record)).is_none());
    if let Some(record) = record {
        return Ok(Output::recorded(stamp.size, record.found));
    }
    let Some(pin) = lock.archive.filter(|pin| pin.size == stamp.size) else {
        let size = stamp.size;
        return Ok(Output::Unread { size });
    };
    let seen = project.clock(&[folder_of(output)]).now(&stamp);
    let _phase = Phase::begin(progress, "Checking", stamp.size);
    let sha256 = archive::sha256_file(output, progress).map_err(read_error)?;
    let archive = ArchivePin {
        size: stamp.size,
        sha256,
    };
    let built_from = (archive == pin).then(|| lock.inner_digest());
    if let Some(lock) = built_from {
        let found = Built { sha256, lock };
        project
            .records
            .outputs
            .insert(key, Record { stamp, seen, found });
    }
    Ok(Output::Known {
        archive,
        built_from,
    })
}

/// Writes the ZIP and notes it in the lock and the records.
fn write(
    options: &Options,
    project: &mut Project,
    resolved: &mut Resolved,
    output: &Path,
    progress: &dyn Progress,
) -> Result<Outcome, Error> {
    let error = |error| Error::Write {
        path: output.to_owned(),
        error,
    };
    let folder = folder_of(output);
    fs::create_dir_all(folder).map_err(error)?;
    let sources = entries(resolved);
    let mut file = AtomicFile::create(output).map_err(error)?;
    let bytes = sources.iter().map(|(entry, _)| entry.contents.size).sum();
    // The phase ends with the function: syncing is part of it.
    let _phase = Phase::begin(progress, "Packing", bytes);
    let written = archive::write(file.file(), &sources, progress);
    let written = written.map_err(|failure| match failure {
        WriteError::Write(disk) => error(disk),
        other => Error::Archive(other),
    })?;
    let found = ArchivePin {
        size: written.size,
        sha256: written.sha256,
    };
    if let Some(expected) = resolved
        .lock
        .archive
        .filter(|pin| options.locked && *pin != found)
    {
        return Ok(Outcome::NotReproduced { expected, found });
    }
    let clock = project.clock(&[folder]);
    file.commit().map_err(error)?;
    resolved.lock.archive = Some(found);
    remember(project, &clock, output, found.sha256, &resolved.lock);
    Ok(Outcome::Built)
}

fn remember(
    project: &mut Project,
    clock: &crate::cache::Clock,
    output: &Path,
    sha256: Sha256,
    lock: &Lockfile,
) {
    if let (Ok(key), Ok(stamp)) = (record_key(output), Stamp::of(output)) {
        let seen = clock.now(&stamp);
        let lock = lock.inner_digest();
        let found = Built { sha256, lock };
        project
            .records
            .outputs
            .insert(key, Record { stamp, seen, found });
    }
}

/// Every entry of the ZIP in its order, the inner lock among them.
fn entries(resolved: &mut Resolved) -> Vec<(Entry, archive::Source)> {
    let inner = resolved.lock.inner().render().into_bytes();
    let entry = Entry {
        path: lockfile::inner_path(),
        contents: Contents::of(&inner),
    };
    let mut sources = std::mem::take(&mut resolved.sources);
    sources.push((entry, archive::Source::Bytes(inner)));
    sources.sort_by(|(a, _), (b, _)| archive::rank(&a.path).cmp(&archive::rank(&b.path)));
    sources
}

/// Writes what stands beside the ZIP, where it is not there already: `.sha256`, then the lock.
fn finish(
    options: &Options,
    project: &Project,
    lock: &Lockfile,
    output: &Path,
) -> Result<(), Error> {
    let Some(archive) = lock.archive else {
        return Ok(());
    };
    write_if_changed(
        &checksum_path(output),
        &checksum_line(archive.sha256, output),
    )?;
    if options.locked || project.lock.as_ref() == Some(lock) {
        return Ok(());
    }
    write_if_changed(&project.lock_path, &lock.render())
}

fn checksum_path(output: &Path) -> PathBuf {
    let mut path = output.as_os_str().to_owned();
    path.push(".sha256");
    path.into()
}

/// Makes sure that nothing is lost by writing the ZIP and what stands beside it: no source of the bundle, whatever
/// `--force` says, and nothing that is no bundle and no checksum.
fn check_targets(options: &Options, project: &Project, output: &Path) -> Result<(), Error> {
    let checksum = checksum_path(output);
    let config = &project.config;
    let models = config.models.iter();
    let sources = models.flat_map(|model| {
        let metadata = model.metadata.iter().map(|metadata| &metadata.file);
        let vectors = crate::packed::test_files(model).into_iter();
        metadata
            .chain(vectors.map(|(_, file)| file))
            .chain([&model.weights])
    });
    let sources = sources.chain(config.tracker.iter().map(|tracker| &tracker.file));
    let sources = sources
        .map(|file| file.path.as_path())
        .chain([config.path.as_path()]);
    let sources: std::collections::HashSet<PathBuf> = sources
        .filter_map(|path| fs::canonicalize(path).ok())
        .collect();
    for target in [output, &checksum, &project.lock_path] {
        if fs::canonicalize(target).is_ok_and(|target| sources.contains(&target)) {
            let path = target.to_owned();
            return Err(Error::OwnSource { path });
        }
    }
    let in_the_way = |path: &Path, expected| {
        let path = path.to_owned();
        Err(Error::InTheWay { path, expected })
    };
    if !options.force && output.exists() && !is_bundle(output) {
        return in_the_way(output, "model bundle");
    }
    if !options.force && checksum.exists() && !is_checksum(&checksum) {
        return in_the_way(&checksum, "checksum file");
    }
    Ok(())
}

/// Whether the file at `path` is short and begins as a line of `sha256sum` does, or is empty.
fn is_checksum(path: &Path) -> bool {
    const LIMIT: u64 = 8192;
    read_at_most(path, LIMIT).is_ok_and(|bytes| {
        let line = bytes.strip_prefix(b"\\").unwrap_or(&bytes);
        line.iter().take(64).all(u8::is_ascii_hexdigit)
    })
}

fn write_if_changed(path: &Path, text: &str) -> Result<(), Error> {
    let limit = text.len() as u64;
    if read_at_most(path, limit).is_ok_and(|found| found == text.as_bytes()) {
        return Ok(());
    }
    atomic::write(path, text.as_bytes()).map_err(|error| Error::Write {
        path: path.to_owned(),
        error,
    })
}

/// The line that `sha256sum -c` reads; it escapes a name with a backslash or a newline, and says so in front.
fn checksum_line(sha256: Sha256, output: &Path) -> String {
    let name = output.file_name().unwrap_or_default().to_string_lossy();
    if name.contains(['\\', '\n']) {
        let name = name.replace('\\', "\\\\").replace('\n', "\\n");
        format!("\\{sha256}  {name}\n")
    } else {
        format!("{sha256}  {name}\n")
    }
}

/// Whether the file at `path` is a bundle, whole or damaged: ours begins with a `config.yml` that names
/// `_bundle_metadata`; anyone's holds one.
fn is_bundle(path: &Path) -> bool {
    const MARK: &str = "_bundle_metadata";
    const LIMIT: u64 = 1 << 20;
    let begins_like_ours = || {
        let mut head = Vec::new();
        let file = open_regular(path).ok()?;
        io::Read::read_to_end(&mut io::Read::take(file, 4096), &mut head).ok()?;
        let name = head.starts_with(b"PK\x03\x04") && head.get(30..40)? == b"config.yml";
        Some(name && String::from_utf8_lossy(&head).contains(MARK))
    };
    let holds_config = || {
        let archive = Archive::open(path).ok()?;
        let entry = archive.entry("config.yml")?;
        let config = archive.read(entry, LIMIT).ok()?;
        Some(String::from_utf8_lossy(&config).contains(MARK))
    };
    begins_like_ours() == Some(true) || holds_config() == Some(true)
}
