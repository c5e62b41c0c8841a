//! The lockfile: every byte of a bundle pinned by hash, in a text made for review and merging.
//!
//! Goals of the format: a change of content is a change of a few lines in one block; nothing changes when
//! content does not (no tool version, no clock but `created`); it is read without the files it pins; a reader
//! refuses what it does not know. One rendering is canonical ([`Lockfile::render`]), and no other is read.
//!
//! The *inner* lock, inside the ZIP, is the lock without what only its project can use: the paths of the sources
//! and `[archive]`, which cannot hold the digest of a file that it is part of.

mod changes;
mod parse;
mod render;

use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use crate::archive::{BundlePath, Entry};
use crate::created::Created;
use crate::digest::{Contents, Digest, Sha256};
use crate::fit::Fit;
use crate::value::{Map, Value, with_toml_keys};

pub use changes::Change;
pub use parse::{LockError, LockErrorKind};

/// The version of the format that this program reads and writes.
pub const VERSION: i64 = 1;

/// The name of the inner lock in the ZIP.
pub const INNER_NAME: &str = "bundle.lock";

/// No lock is larger than this; a reader refuses one that is before it reads it.
pub const MAX_SIZE: u64 = 64 << 20;

/// What a bundle is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Lockfile {
    pub layout: Layout,
    /// The file name of the config that was resolved; for a foreign bundle, that of the ZIP.
    pub config: String,
    /// When the content was made; a foreign bundle may not tell.
    pub created: Option<Created>,
    /// The ZIP that was built from this lock.
    pub archive: Option<ArchivePin>,
    /// `[bundle.about]`.
    pub about: Map,
    /// The models in config order.
    pub models: IndexMap<String, LockedModel>,
    /// Every file of the ZIP but the inner lock, in the ZIP's order.
    pub files: Vec<LockedFile>,
}

/// How the ZIP is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// The canonical form, version 1: the lock determines every byte.
    Canonical,
    /// A ZIP that others made: the lock pins its entries and, by `[archive]`, the file.
    Foreign,
}

impl Layout {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Canonical => "canonical",
            Self::Foreign => "foreign",
        }
    }
}

/// The finished ZIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ArchivePin {
    pub size: u64,
    pub sha256: Sha256,
}

/// A model: where it is in the ZIP, and what it is run with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LockedModel {
    pub weights: Option<BundlePath>,
    pub metadata: Option<BundlePath>,
    /// What the weights were found to be; none in locks of foreign bundles.
    pub facts: LockedFacts,
    /// Arguments as TOML has them: a key of digits is an integer, however the config wrote it.
    pub inferer_args: Option<Map>,
    pub model_args: Option<Map>,
    /// Pickle globals that the config allows besides the known ones.
    pub allow_globals: Vec<String>,
    pub test: Option<LockedTest>,
}

/// What is in a file of weights, derived from its content and the model's metadata alone.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct LockedFacts {
    /// The network or estimator: `NAFNet`, `Pipeline(StandardScaler, LogisticRegression)`.
    pub architecture: Option<String>,
    /// The network's arguments, defaults included.
    pub architecture_args: Option<Map>,
    /// How many numbers were learnt.
    pub parameters: Option<u64>,
    /// The types of the tensors' elements, that of most first: `float32, int64`.
    pub dtype: Option<String>,
    /// The tensor digest: equal for the same tensors in any container.
    #[serde(rename = "tensor_digest")]
    pub tensors: Option<Digest>,
    /// The pickle globals that the file names, sorted.
    pub globals: Vec<String>,
}

impl From<&Fit> for LockedFacts {
    fn from(fit: &Fit) -> Self {
        Self {
            architecture: fit.architecture.clone(),
            architecture_args: fit.architecture_args.as_ref().map(with_toml_keys),
            parameters: fit.parameters,
            dtype: fit.dtype.clone(),
            tensors: fit.tensors,
            globals: fit.globals.clone(),
        }
    }
}

/// A model's test vectors and how closely they must be met.
#[derive(Clone, Debug, PartialEq)]
pub struct LockedTest {
    pub input: BundlePath,
    pub expected: BundlePath,
    pub labels: Option<BundlePath>,
    /// `rtol`, `atol`, `mismatch_ppm`, as far as they are configured.
    pub tolerances: Map,
}

/// One file of the ZIP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockedFile {
    pub path: BundlePath,
    /// The file it is made from, as the config writes it; none for `config.yml`.
    pub source: Option<String>,
    pub contents: Contents,
}

impl Lockfile {
    /// Where the lock of the config at `config` stands: `<stem>.lock` beside it.
    pub fn path_for(config: &Path) -> PathBuf {
        config.with_extension("lock")
    }

    /// The lock that the bundle carries inside.
    pub fn inner(&self) -> Self {
        let mut inner = self.clone();
        inner.archive = None;
        for file in &mut inner.files {
            file.source = None;
        }
        inner
    }

    /// The digest of the inner lock's text: of all that determines a canonical ZIP.
    pub fn inner_digest(&self) -> Digest {
        Digest::of(self.inner().render().as_bytes())
    }

    /// The file at `path` in the ZIP.
    pub fn file(&self, path: &str) -> Option<&LockedFile> {
        self.files.iter().find(|file| file.path.as_str() == path)
    }

    /// Whether both pin the same content: all but `[archive]` is equal.
    pub fn same_content(&self, other: &Self) -> bool {
        // By their texts: there, NaN equals itself, and the order of keys counts.
        let text = |lock: &Self| {
            let lock = Self {
                archive: None,
                ..lock.clone()
            };
            lock.render()
        };
        text(self) == text(other)
    }

    /// Every entry of the canonical ZIP, the inner lock among them, in canonical order.
    pub fn entries(&self) -> Vec<Entry> {
        let mut entries: Vec<Entry> = self
            .files
            .iter()
            .map(|file| Entry {
                path: file.path.clone(),
                contents: file.contents,
            })
            .collect();
        if self.layout == Layout::Canonical {
            entries.push(Entry {
                path: inner_path(),
                contents: Contents::of(self.inner().render().as_bytes()),
            });
        }
        crate::archive::canonical_order(&mut entries);
        entries
    }
}

/// Equal with the order of keys counted, at every depth: order is what `config.yml` shows.
fn same_map(a: &Map, b: &Map) -> bool {
    a.len() == b.len()
        && a.iter()
            .zip(b)
            .all(|((ka, va), (kb, vb))| ka == kb && same_value(va, vb))
}

fn same_value(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Map(a), Value::Map(b)) => same_map(a, b),
        (Value::List(a), Value::List(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_value(a, b))
        }
        // Bits, so that NaN equals itself and -0.0 is not 0.0.
        (Value::Float(a), Value::Float(b)) => a.to_bits() == b.to_bits(),
        _ => a == b,
    }
}

/// The inner lock's name as a path.
pub fn inner_path() -> BundlePath {
    BundlePath::new(INNER_NAME).expect("a constant, valid name")
}
