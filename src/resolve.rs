//! Config + files -> lock, and the bytes of every entry that the lock lists.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::archive::{self, BundlePath, Entry};
use crate::cache::{Clock, Record, Records, Stamp};
use crate::config::{Config, Model, SourceFile};
use crate::created::Created;
use crate::digest::{Contents, hash_range};
use crate::lockfile::{Layout, LockedFile, LockedModel, LockedTest, Lockfile};
use crate::packed;
use crate::plan::{ReadReason, why_read};
use crate::progress::Progress;
use crate::value::{Key, Map, Value};

/// The environment variable that fixes the creation date of new content
/// (<https://reproducible-builds.org/specs/source-date-epoch/>).
pub const SOURCE_DATE_EPOCH: &str = "SOURCE_DATE_EPOCH";

/// A config resolved to hashes.
#[derive(Debug)]
pub struct Resolved {
    pub lock: Lockfile,
    /// Every entry of the ZIP but the inner lock, with where its bytes come from.
    pub sources: Vec<(Entry, archive::Source)>,
    /// The sources that had to be read, and why.
    pub read: HashMap<BundlePath, ReadReason>,
}

/// Why a config cannot be resolved.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    #[error("cannot read {}: {error}", path.display())]
    Read { path: PathBuf, error: io::Error },
    #[error("{} changed while it was read", path.display())]
    Changed { path: PathBuf },
    #[error("{SOURCE_DATE_EPOCH} is `{found}`; expected a number of seconds since 1970")]
    Epoch { found: String },
    #[error("interrupted")]
    Interrupted,
}

impl miette::Diagnostic for ResolveError {
    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        let help = match self {
            Self::Read { .. } => "check that the file is there and readable",
            Self::Changed { .. } => "wait until whatever writes it has finished, then run again",
            Self::Epoch { .. } => "unset it, or set it to the output of `git log -1 --format=%ct`",
            Self::Interrupted => return None,
        };
        Some(Box::new(help))
    }
}

/// Resolves `config`: reads those of its files whose record in `records` proves nothing, renews their
/// records by `clock`, and keeps the creation date of `old` if nothing else has changed.
///
/// # Errors
/// Fails if a file cannot be read or changes meanwhile, or a malformed `SOURCE_DATE_EPOCH` is set.
pub fn resolve(
    config: &Config,
    old: Option<&Lockfile>,
    records: &mut Records,
    clock: &dyn Fn() -> Clock,
    progress: &dyn Progress,
) -> Result<Resolved, ResolveError> {
    let epoch = source_date_epoch()?;
    let hashed = hash_sources(&weights_and_vectors(config), records, clock, progress)?;
    let contents = |path: &BundlePath| hashed[path].0;
    let read = hashed
        .iter()
        .filter_map(|(path, (_, reason))| Some((path.clone(), (*reason)?)))
        .collect();

    let kept = config.created.or(old.and_then(|old| old.created));
    if let (Some(old), Some(created)) = (old, kept) {
        let (mut lock, sources) = assemble(config, created, &contents);
        if lock.same_content(old) {
            lock.archive = old.archive;
            return Ok(Resolved { lock, sources, read });
        }
    }
    let created = config.created.or(epoch).unwrap_or_else(Created::now);
    let (lock, sources) = assemble(config, created, &contents);
    Ok(Resolved { lock, sources, read })
}

fn source_date_epoch() -> Result<Option<Created>, ResolveError> {
    let Some(text) = std::env::var_os(SOURCE_DATE_EPOCH) else {
        return Ok(None);
    };
    let text = text.to_string_lossy();
    let seconds = text.parse().ok();
    match seconds.and_then(Created::from_unix_seconds) {
        Some(created) => Ok(Some(created)),
        None => Err(ResolveError::Epoch {
            found: text.into_owned(),
        }),
    }
}

/// The files that are packed byte for byte, large ones among them: weights and test vectors.
fn weights_and_vectors(config: &Config) -> Vec<(BundlePath, &SourceFile)> {
    let mut files = Vec::new();
    for model in &config.models {
        files.push((packed::weights_path(model), &model.weights));
        if let (Some(test), Some(paths)) = (&model.test, test_paths(model)) {
            files.push((paths.input, &test.input));
            files.push((paths.expected, &test.expected));
            if let (Some(labels), Some(path)) = (&test.labels, paths.labels) {
                files.push((path, labels));
            }
        }
    }
    files
}

type Hashed = HashMap<BundlePath, (Contents, Option<ReadReason>)>;

fn hash_sources(
    files: &[(BundlePath, &SourceFile)],
    records: &mut Records,
    clock: &dyn Fn() -> Clock,
    progress: &dyn Progress,
) -> Result<Hashed, ResolveError> {
    let mut hashed = Hashed::new();
    let mut unknown = Vec::new();
    let mut kept = Records {
        outputs: std::mem::take(&mut records.outputs),
        ..Records::default()
    };
    for (path, file) in files {
        let stamp = Stamp::of(&file.path).map_err(|error| read_error(&file.path, error))?;
        let key = std::path::absolute(&file.path).unwrap_or_else(|_| file.path.clone());
        let record = records.sources.get(&key);
        match (why_read(&stamp, record), record) {
            (None, Some(record)) => {
                hashed.insert(path.clone(), (record.found, None));
                kept.sources.insert(key, *record);
            }
            (reason, _) => {
                let reason = reason.unwrap_or(ReadReason::NotRecorded);
                unknown.push((path.clone(), &file.path, key, stamp.size, reason));
            }
        }
    }
    if !unknown.is_empty() {
        progress.begin("Hashing", unknown.iter().map(|file| file.3).sum());
        let clock = clock();
        let found: Result<Vec<_>, _> = unknown
            .par_iter()
            .map(|(_, path, ..)| hash_file(path, &clock, progress))
            .collect();
        progress.end();
        for ((path, _, key, _, reason), record) in unknown.into_iter().zip(found?) {
            hashed.insert(path, (record.found, Some(reason)));
            kept.sources.insert(key, record);
        }
    }
    *records = kept;
    Ok(hashed)
}

fn hash_file(
    path: &Path,
    clock: &Clock,
    progress: &dyn Progress,
) -> Result<Record<Contents>, ResolveError> {
    let error = |error| read_error(path, error);
    let file = File::open(path).map_err(error)?;
    let stamp = Stamp::from_metadata(&file.metadata().map_err(error)?);
    let found = match hash_range(&file, 0..stamp.size, path, progress) {
        Err(short) if short.kind() == io::ErrorKind::UnexpectedEof => {
            return Err(ResolveError::Changed {
                path: path.to_owned(),
            });
        }
        result => result.map_err(error)?,
    };
    if Stamp::from_metadata(&file.metadata().map_err(error)?) != stamp {
        return Err(ResolveError::Changed {
            path: path.to_owned(),
        });
    }
    let seen = clock.now(&stamp);
    Ok(Record { stamp, seen, found })
}

fn read_error(path: &Path, error: io::Error) -> ResolveError {
    if error.kind() == io::ErrorKind::Interrupted {
        return ResolveError::Interrupted;
    }
    ResolveError::Read {
        path: path.to_owned(),
        error,
    }
}

/// The lock and the sources of a config whose large files have these `contents`. Pure.
fn assemble(
    config: &Config,
    created: Created,
    contents: &dyn Fn(&BundlePath) -> Contents,
) -> (Lockfile, Vec<(Entry, archive::Source)>) {
    let mut files = Files::default();
    files.generate(packed::config_path(), None, packed::config_yml(config, created));
    if let Some(tracker) = &config.tracker {
        let source = tracker.source.written.clone();
        files.generate(packed::tracker_path(), Some(source), packed::tracker_yml(tracker));
    }
    for model in &config.models {
        let source = model.metadata.as_ref().map(|file| file.source.written.clone());
        files.generate(packed::metadata_path(model), source, packed::metadata_json(model));
    }
    for (path, file) in weights_and_vectors(config) {
        files.copy(&path, file, contents(&path));
    }
    files.0.sort_by_key(|(file, _)| archive::rank(&file.path));
    let models = config.models.iter();
    let lock = Lockfile {
        layout: Layout::Canonical,
        config: config.file_name(),
        created: Some(created),
        archive: None,
        about: config.about.clone(),
        models: models.map(|model| (model.key.to_string(), locked(model))).collect(),
        files: files.0.iter().map(|(file, _)| file.clone()).collect(),
    };
    let sources = files.0.into_iter().map(|(file, source)| {
        let LockedFile { path, contents, .. } = file;
        (Entry { path, contents }, source)
    });
    (lock, sources.collect())
}

#[derive(Default)]
struct Files(Vec<(LockedFile, archive::Source)>);

impl Files {
    fn generate(&mut self, path: BundlePath, source: Option<String>, bytes: Vec<u8>) {
        let contents = Contents::of(&bytes);
        let file = LockedFile { path, source, contents };
        self.0.push((file, archive::Source::Bytes(bytes)));
    }

    fn copy(&mut self, path: &BundlePath, file: &SourceFile, contents: Contents) {
        let locked = LockedFile {
            path: path.clone(),
            source: Some(file.written.clone()),
            contents,
        };
        self.0.push((locked, archive::Source::File(file.path.clone())));
    }
}

fn locked(model: &Model) -> LockedModel {
    LockedModel {
        weights: Some(packed::weights_path(model)),
        metadata: Some(packed::metadata_path(model)),
        inferer_args: model.inferer_args.clone(),
        model_args: model.model_args.clone(),
        allow_globals: model.allow_globals.clone(),
        test: test_paths(model),
    }
}

fn test_paths(model: &Model) -> Option<LockedTest> {
    let test = model.test.as_ref()?;
    let path = |role: &str, file: &SourceFile| packed::test_path(model, role, file);
    let tolerances = [
        ("rtol", test.rtol),
        ("atol", test.atol),
        ("mismatch_ppm", test.mismatch_ppm),
    ];
    let tolerances = tolerances
        .into_iter()
        .filter_map(|(name, value)| Some((Key::from(name), Value::Float(value?))));
    Some(LockedTest {
        input: path("input", &test.input),
        expected: path("expected", &test.expected),
        labels: test.labels.as_ref().map(|labels| path("labels", labels)),
        tolerances: tolerances.collect::<Map>(),
    })
}
