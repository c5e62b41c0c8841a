//! `bundle card`: what a page about a bundle has to say, and the page written.

mod pictures;
mod tested;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

pub use tested::{ModelTest, Tested, TestedError};

use crate::archive::{self, BundlePath};
use crate::atomic;
use crate::config::Model as Configured;
use crate::config::catalogue::PIPELINES;
use crate::digest::{Contents, Sha256, read_at_most};
use crate::facts::Facts;
use crate::image::preview;
use crate::inspect::{InspectError, inspect};
use crate::lockfile::{LockedFacts, Lockfile};
use crate::packed::TRACKER_NAME;
use crate::progress::Progress;
use crate::subject::{Subject, SubjectError};
use crate::value::{Key, Map, Value};

/// What to write a page about.
#[derive(Clone, Debug)]
pub struct Options {
    pub bundle: PathBuf,
    /// What `bundle test --json` printed of this bundle.
    pub tested: Option<PathBuf>,
    /// Whether pictures of the test vectors are drawn.
    pub pictures: bool,
}

/// What a page says.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The name of the ZIP.
    pub bundle: String,
    /// `canonical` or `foreign`.
    pub layout: &'static str,
    pub size: u64,
    pub sha256: Sha256,
    pub config: String,
    pub created: Option<String>,
    pub about: Map,
    pub models: Vec<Model>,
    /// Whether it has settings for the tracker.
    pub tracker: bool,
    /// HiTMicTools' pipelines that find all their models in it.
    pub pipelines: Vec<&'static str>,
    pub tested: Option<Tested>,
}

/// One model.
#[derive(Debug, Serialize)]
pub struct Model {
    pub key: String,
    pub weights: BundlePath,
    #[serde(flatten)]
    pub contents: Contents,
    /// The name of the file that the weights were packed from.
    pub original_name: Option<String>,
    #[serde(flatten)]
    pub facts: LockedFacts,
    pub inferer_args: Option<Map>,
    pub model_args: Option<Map>,
    /// What the metadata say besides the network: dates, data, measures.
    pub training: Map,
    pub has_test: bool,
    /// A PNG of the test vector's first frame.
    #[serde(skip)]
    pub picture: Option<Vec<u8>>,
    /// Why there is none, although there is a vector that could be drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_picture: Option<String>,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    #[error(transparent)]
    #[diagnostic(transparent)]
    Inspect(#[from] InspectError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Subject(#[from] SubjectError),
    #[error("{} is a lockfile, expected a ZIP", path.display())]
    #[diagnostic(help("name the bundle that was built from it"))]
    Lock { path: PathBuf },
    #[error(transparent)]
    #[diagnostic(transparent)]
    Tested(#[from] TestedError),
    #[error("cannot read {}: {error}", path.display())]
    Read { path: PathBuf, error: io::Error },
    #[error("{} is there, and is no page that `bundle card` wrote", path.display())]
    #[diagnostic(help("name another file, or move it away"))]
    InTheWay { path: PathBuf },
    #[error("cannot write {}: {error}", path.display())]
    Write { path: PathBuf, error: io::Error },
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// Whether the contents of the bundle are at fault, and not the command.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Inspect(error) => error.is_refusal(),
            Self::Subject(error) => error.is_refusal(),
            _ => false,
        }
    }
}

/// Gathers what there is to say of a bundle. Every entry is read, and compared with the lock inside; what that says of
/// networks is told as it stands there, and `bundle check` compares it with the weights.
///
/// # Errors
/// Fails if the bundle is none, is damaged, or cannot be read.
pub fn card(options: &Options, progress: &dyn Progress) -> Result<Report, Error> {
    let path = &options.bundle;
    let mut inspected = inspect(path, progress)?;
    inspected.prove(progress)?;
    let Some(archive) = &inspected.archive else {
        return Err(Error::Lock { path: path.clone() });
    };
    let lock = &inspected.lock;
    let subject = Subject::open(path)?;
    let sha256 = archive::sha256_file(path, progress).map_err(|error| Error::Read {
        path: path.clone(),
        error,
    })?;
    let mut models = Vec::new();
    for model in &subject.config.models {
        models.extend(summary(lock, &subject, model, options.pictures, progress));
        if progress.interrupted() {
            return Err(Error::Interrupted);
        }
    }
    let has = |key: &&str| models.iter().any(|model| model.key == **key);
    let served = PIPELINES.iter().filter(|(_, keys)| keys.iter().all(&has));
    let keys: Vec<&str> = models.iter().map(|model| model.key.as_str()).collect();
    let tested = match &options.tested {
        Some(report) => Some(Tested::read(report, path, sha256, &keys)?),
        None => None,
    };
    Ok(Report {
        bundle: file_name(path),
        layout: lock.layout.name(),
        size: archive.size(),
        sha256,
        config: lock.config.clone(),
        created: lock.created.map(|created| created.to_string()),
        about: lock.about.clone(),
        tracker: lock.file(TRACKER_NAME).is_some(),
        pipelines: served.map(|(name, _)| *name).collect(),
        models,
        tested,
    })
}

/// What a page says of a model; nothing of one whose file is not there.
fn summary(
    lock: &Lockfile,
    subject: &Subject,
    model: &Configured,
    pictures: bool,
    progress: &dyn Progress,
) -> Option<Model> {
    let key = model.key.as_str();
    let file = lock.file(&model.weights.written)?;
    let locked = lock.models.get(key).map(|model| model.facts.clone());
    let facts = locked.filter(|facts| *facts != LockedFacts::default());
    // No lock knows anything of a foreign bundle's weights, or of others than those that were locked.
    let facts = facts.or_else(|| {
        let blob = subject.weights(model, progress).ok()?;
        let facts = Facts::derive(&blob, &model.weights.path, progress).ok()?;
        Some(subject.locked_facts(model, &facts))
    });
    let facts = facts.unwrap_or_default();
    let json = model.metadata.iter().flat_map(|metadata| &metadata.json);
    let (network, training): (Vec<_>, Vec<_>) = json.partition(|(name, _)| {
        ["model_type", "model_args", "original_name"].contains(&name.as_str())
    });
    let original = network.iter().find(|(name, _)| *name == "original_name");
    let (picture, no_picture) = match pictures {
        true => drawn(subject, model, progress),
        false => (None, None),
    };
    Some(Model {
        key: key.to_owned(),
        weights: file.path.clone(),
        contents: file.contents,
        original_name: original.and_then(|(_, name)| Some(name.as_str()?.to_owned())),
        facts,
        inferer_args: model.inferer_args.clone(),
        model_args: model.model_args.clone(),
        training: training
            .into_iter()
            .map(|(name, value)| (Key::from(name.as_str()), Value::from_json(value)))
            .collect(),
        has_test: subject.vector(model).is_some(),
        picture,
        no_picture,
    })
}

/// The picture of a model's test vector, or why there is none.
fn drawn(
    subject: &Subject,
    model: &Configured,
    progress: &dyn Progress,
) -> (Option<Vec<u8>>, Option<String>) {
    let picture = match pictures::of_vector(subject, model, progress) {
        Ok(None) => return (None, None),
        Ok(Some(picture)) => preview::draw(&picture).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match picture {
        Ok(png) => (Some(png), None),
        Err(why) => (None, Some(why)),
    }
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// How every page begins; a file that begins otherwise is not written over.
pub const MARK: &str = "<!-- made by `bundle card`";

/// The file of a model's picture, beside the page at `page`.
pub fn picture_name(page: &Path, key: &str) -> String {
    let stem = page.file_stem().unwrap_or_default().to_string_lossy();
    format!("{stem}.{key}.png")
}

/// No page is larger.
const LARGEST_PAGE: u64 = 16 << 20;

/// The earlier page at `page`, empty if nothing is there; `None` if something else is.
fn earlier(page: &Path) -> io::Result<Option<String>> {
    match fs::metadata(page) {
        // A link that leads nowhere is not ours either.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(page.symlink_metadata().is_err().then(String::new));
        }
        Err(error) => return Err(error),
        Ok(there) if !there.is_file() || there.len() > LARGEST_PAGE => return Ok(None),
        Ok(_) => {}
    }
    let text = String::from_utf8(read_at_most(page, LARGEST_PAGE)?).ok();
    Ok(text.filter(|text| text.starts_with(MARK)))
}

/// A file's name as the target of a link.
pub fn link(name: &str) -> String {
    let mut link = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte.is_ascii_alphanumeric() || b"._-".contains(&byte) {
            true => link.push(char::from(byte)),
            false => link += &format!("%{byte:02X}"),
        }
    }
    link
}

/// Writes a page and the pictures beside it, each whole or not at all, and gives their paths.
///
/// # Errors
/// Fails if something else is there, or the disk does.
pub fn write(page: &Path, text: &str, report: &Report) -> Result<Vec<PathBuf>, Error> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| Error::Write { path, error }
    };
    let in_the_way = |path: &Path| Error::InTheWay {
        path: path.to_owned(),
    };
    let Some(earlier) = earlier(page).map_err(failed(page))? else {
        return Err(in_the_way(page));
    };
    for model in report.models.iter().filter(|model| model.picture.is_some()) {
        let name = picture_name(page, &model.key);
        let path = atomic::folder_of(page).join(&name);
        // A picture is this program's if the earlier page shows it.
        if path.symlink_metadata().is_ok() && !earlier.contains(&format!("]({})", link(&name))) {
            return Err(in_the_way(&path));
        }
    }
    let folder = atomic::folder_of(page);
    fs::create_dir_all(folder).map_err(failed(folder))?;
    let mut written = Vec::new();
    for model in &report.models {
        if let Some(png) = &model.picture {
            let path = folder.join(picture_name(page, &model.key));
            atomic::write(&path, png).map_err(failed(&path))?;
            written.push(path);
        }
    }
    atomic::write(page, text.as_bytes()).map_err(failed(page))?;
    written.push(page.to_owned());
    Ok(written)
}
