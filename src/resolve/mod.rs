//! Config + files -> lock, and the bytes of every entry that the lock lists.

mod weights;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use rayon::prelude::*;

use crate::archive::{self, BadName, BundlePath, Entry};
use crate::cache::{Cache, Clock, Record, Records, Stamp};
use crate::config::{Config, Model, Problem, SourceFile};
use crate::created::Created;
use crate::digest::{Contents, hash_range, open_regular, read_at_most};
use crate::fit::Fit;
use crate::lockfile::{Layout, LockedFacts, LockedFile, LockedModel, LockedTest, Lockfile};
use crate::packed;
use crate::plan::{ReadReason, why_read};
use crate::progress::{Phase, Progress};
use crate::value::{Key, Map, Value, with_toml_keys};

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
    /// The files that differ from the old lock's by CRLF and LF alone.
    pub line_endings: Vec<BundlePath>,
    /// What is odd about the weights, and no error.
    pub warnings: Vec<Problem>,
}

/// What is known besides the config, and what to do with it.
#[derive(Clone, Copy)]
pub struct Means<'a> {
    /// The lock that stands beside the config.
    pub old: Option<&'a Lockfile>,
    /// Where facts of weights are kept.
    pub cache: Option<&'a Cache>,
    /// Whether weights that do not fit their declared network are an error.
    pub check_architecture: bool,
    /// Tells the time of the sources' filesystems.
    pub clock: &'a dyn Fn() -> Clock,
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
    #[error("no file of a bundle can be named so: {0}")]
    Name(#[from] BadName),
    /// Weights that no bundle may hold.
    #[error("{}", if problems.len() == 1 { "the models have an error".to_owned() } else { format!("the models have {} errors", problems.len()) })]
    Weights { problems: Vec<Problem> },
    #[error("interrupted")]
    Interrupted,
}

impl ResolveError {
    /// Whether the contents of a file are at fault, and not its absence.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Weights { .. })
    }
}

impl miette::Diagnostic for ResolveError {
    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        let help = match self {
            Self::Read { .. } => "check that the file is there and readable",
            Self::Changed { .. } => "wait until whatever writes it has finished, then run again",
            Self::Epoch { .. } => "unset it, or set it to the output of `git log -1 --format=%ct`",
            Self::Name(_) => "rename the file, or give the model another `bundle_name`",
            Self::Weights { .. } | Self::Interrupted => return None,
        };
        Some(Box::new(help))
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn miette::Diagnostic> + 'a>> {
        match self {
            Self::Weights { problems } => {
                Some(Box::new(problems.iter().map(|problem| problem as _)))
            }
            _ => None,
        }
    }
}

/// Resolves `config`: reads those of its files whose record in `records` proves nothing, renews their
/// records, checks its weights, and keeps the creation date of the old lock if nothing else has changed.
///
/// # Errors
/// Fails if a file cannot be read or changes meanwhile, a malformed `SOURCE_DATE_EPOCH` is set, or weights are refused.
pub fn resolve(
    config: &Config,
    records: &mut Records,
    means: Means,
    progress: &dyn Progress,
) -> Result<Resolved, ResolveError> {
    let epoch = source_date_epoch()?;
    let files = weights_and_vectors(config)?;
    let hashed = hash_sources(&files, records, means.clock, progress)?;
    let read = hashed
        .iter()
        .filter_map(|(path, (_, reason))| Some((path.clone(), (*reason)?)))
        .collect();
    let (fits, warnings) = weights::check(config, &hashed, records, means, progress)?;
    let contents = Pieces {
        config,
        large: &files,
        hashed: &hashed,
        fits: &fits,
    };

    let old = means.old;
    let kept = config.created.or(old.and_then(|old| old.created));
    if let (Some(old), Some(created)) = (old, kept) {
        let (mut lock, sources) = contents.assemble(created)?;
        if lock.same_content(old) {
            lock.archive = old.archive;
            return Ok(Resolved {
                lock,
                sources,
                read,
                line_endings: Vec::new(),
                warnings,
            });
        }
    }
    let created = config.created.or(epoch).unwrap_or_else(Created::now);
    let (lock, sources) = contents.assemble(created)?;
    Ok(Resolved {
        line_endings: old.map_or(Vec::new(), |old| line_endings(old, &sources)),
        lock,
        sources,
        read,
        warnings,
    })
}

fn source_key(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The sources that would be what the old lock says if a checkout had left their line endings alone.
fn line_endings(old: &Lockfile, sources: &[(Entry, archive::Source)]) -> Vec<BundlePath> {
    /// Larger files are no text that git converts.
    const LIMIT: u64 = 4 << 20;
    let old: HashMap<_, _> = old.files.iter().map(|file| (&file.path, file)).collect();
    let is_converted = |(entry, source): &&(Entry, archive::Source)| {
        let Some(old) = old.get(&entry.path) else {
            return false;
        };
        let wanted = old.contents;
        if wanted == entry.contents || entry.contents.size.max(wanted.size) > LIMIT {
            return false;
        }
        let bytes = match source {
            archive::Source::Bytes(bytes) => Ok(bytes.clone()),
            archive::Source::File(path) => read_at_most(path, LIMIT),
        };
        bytes.is_ok_and(|bytes| {
            let lf = archive::to_lf(&bytes);
            Contents::of(&lf) == wanted || Contents::of(&to_crlf(&lf)) == wanted
        })
    };
    let converted = sources.iter().filter(is_converted);
    converted.map(|(entry, _)| entry.path.clone()).collect()
}

fn to_crlf(lf: &[u8]) -> Vec<u8> {
    let mut crlf = Vec::with_capacity(lf.len());
    for byte in lf {
        if *byte == b'\n' {
            crlf.push(b'\r');
        }
        crlf.push(*byte);
    }
    crlf
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
fn weights_and_vectors(config: &Config) -> Result<Vec<(BundlePath, &SourceFile)>, ResolveError> {
    let mut files = Vec::new();
    for model in &config.models {
        files.push((
            BundlePath::new(&packed::weights_name(model))?,
            &model.weights,
        ));
        for (name, file) in packed::test_files(model) {
            files.push((BundlePath::new(&name)?, file));
        }
    }
    Ok(files)
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
        let key = source_key(&file.path);
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
        let bytes = unknown.iter().map(|file| file.3).sum();
        let _phase = Phase::begin(progress, "Hashing", bytes);
        let clock = clock();
        let found: Result<Vec<_>, _> = unknown
            .par_iter()
            .map(|(_, path, ..)| hash_file(path, &clock, progress))
            .collect();
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
    let file = open_regular(path).map_err(error)?;
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

/// All that a lock is made of.
struct Pieces<'a> {
    config: &'a Config,
    /// The files that are packed byte for byte.
    large: &'a [(BundlePath, &'a SourceFile)],
    /// What they hold.
    hashed: &'a Hashed,
    /// What the weights of each model are.
    fits: &'a [Fit],
}

impl Pieces<'_> {
    /// The lock, and where the bytes of every entry come from. Pure.
    fn assemble(
        &self,
        created: Created,
    ) -> Result<(Lockfile, Vec<(Entry, archive::Source)>), ResolveError> {
        let Self {
            config,
            large,
            hashed,
            fits,
        } = *self;
        let mut files = Files::default();
        files.generate(
            packed::CONFIG_NAME,
            None,
            packed::config_yml(config, created),
        )?;
        if let Some(tracker) = &config.tracker {
            let bytes = packed::tracker_yml(tracker).to_vec();
            files.generate(packed::TRACKER_NAME, Some(&tracker.file), bytes)?;
        }
        for model in &config.models {
            let source = model.metadata.as_ref().map(|metadata| &metadata.file);
            let bytes = packed::model_metadata_json(model);
            files.generate(&packed::metadata_name(model), source, bytes)?;
        }
        for (path, file) in large {
            files.copy(path, file, hashed[path].0);
        }
        files
            .0
            .sort_by(|(a, _), (b, _)| archive::rank(&a.path).cmp(&archive::rank(&b.path)));
        let mut models = IndexMap::new();
        for (model, fit) in config.models.iter().zip(fits) {
            models.insert(model.key.to_string(), locked(model, fit)?);
        }
        let name = config.path.file_name().unwrap_or_default();
        let lock = Lockfile {
            layout: Layout::Canonical,
            config: name.to_string_lossy().into_owned(),
            created: Some(created),
            archive: None,
            about: config.about.clone(),
            models,
            files: files.0.iter().map(|(file, _)| file.clone()).collect(),
        };
        let sources = files.0.into_iter().map(|(file, source)| {
            let LockedFile { path, contents, .. } = file;
            (Entry { path, contents }, source)
        });
        Ok((lock, sources.collect()))
    }
}

#[derive(Default)]
struct Files(Vec<(LockedFile, archive::Source)>);

impl Files {
    fn generate(
        &mut self,
        name: &str,
        source: Option<&SourceFile>,
        bytes: Vec<u8>,
    ) -> Result<(), ResolveError> {
        let file = LockedFile {
            path: BundlePath::new(name)?,
            source: source.map(|source| source.written.clone()),
            contents: Contents::of(&bytes),
        };
        self.0.push((file, archive::Source::Bytes(bytes)));
        Ok(())
    }

    fn copy(&mut self, path: &BundlePath, file: &SourceFile, contents: Contents) {
        let locked = LockedFile {
            path: path.clone(),
            source: Some(file.written.clone()),
            contents,
        };
        self.0
            .push((locked, archive::Source::File(file.path.clone())));
    }
}

fn locked(model: &Model, fit: &Fit) -> Result<LockedModel, ResolveError> {
    Ok(LockedModel {
        weights: Some(BundlePath::new(&packed::weights_name(model))?),
        metadata: Some(BundlePath::new(&packed::metadata_name(model))?),
        facts: LockedFacts::from(fit),
        inferer_args: model.inferer_args.as_ref().map(with_toml_keys),
        model_args: model.model_args.as_ref().map(with_toml_keys),
        allow_globals: model.allow_globals.clone(),
        test: locked_test(model)?,
    })
}

fn locked_test(model: &Model) -> Result<Option<LockedTest>, ResolveError> {
    let Some(test) = &model.test else {
        return Ok(None);
    };
    let path = |role, file| BundlePath::new(&packed::test_name(model, role, file));
    let tolerances = [
        ("rtol", test.rtol),
        ("atol", test.atol),
        ("mismatch_ppm", test.mismatch_ppm),
    ];
    let tolerances = tolerances
        .into_iter()
        .filter_map(|(name, value)| Some((Key::from(name), Value::Float(value?))));
    Ok(Some(LockedTest {
        input: path("input", &test.input)?,
        expected: path("expected", &test.expected)?,
        labels: test
            .labels
            .as_ref()
            .map(|labels| path("labels", labels))
            .transpose()?,
        tolerances: tolerances.collect::<Map>(),
    }))
}
