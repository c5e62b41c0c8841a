//! `bundle diff`: two locks or ZIPs compared, down to the tensors where both have them.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::archive::{Archive, BundlePath};
use crate::inspect::{InspectError, Inspected, inspect};
use crate::lockfile::{Change, LockedFacts, LockedModel, Lockfile};
use crate::progress::{Phase, Progress};
use crate::weights;
use crate::weights::tensor::{self, Distance};

/// How two bundles differ.
#[derive(Debug, Serialize)]
pub struct Report {
    pub old: PathBuf,
    pub new: PathBuf,
    pub changes: Vec<Change>,
    /// The models whose weights are other bytes.
    pub weights: Vec<Weights>,
}

/// What other bytes mean for a model's weights.
#[derive(Debug, Serialize)]
pub struct Weights {
    pub model: String,
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// What other bytes mean.
#[derive(Debug, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// The same tensors, saved again.
    SameTensors,
    /// These tensors differ.
    Tensors {
        total: usize,
        changed: Vec<TensorChange>,
        added: Vec<String>,
        removed: Vec<String>,
    },
    /// They differ; in what, the locks do not tell.
    OtherTensors,
    /// At least one holds no tensors.
    Bytes,
    /// One of the files cannot be read.
    Unreadable { message: String },
}

/// How a tensor changed.
#[derive(Debug, Serialize)]
pub struct TensorChange {
    pub name: String,
    /// Type and shape before and after, if those changed.
    pub reshaped: Option<(String, String)>,
    /// How far their elements are apart, if the shapes agree.
    pub distance: Option<Distance>,
}

impl Report {
    /// Whether both hold the same.
    pub fn is_same(&self) -> bool {
        self.changes.is_empty() && self.weights.is_empty()
    }
}

/// Compares two ZIPs or locks.
///
/// # Errors
/// Fails if one cannot be read, or is neither.
pub fn diff(old: &Path, new: &Path, progress: &dyn Progress) -> Result<Report, InspectError> {
    let (mut a, mut b) = (inspect(old, progress)?, inspect(new, progress)?);
    // What a ZIP holds counts, and not what the lock inside says of it.
    a.prove(progress)?;
    b.prove(progress)?;
    keep_common_facts(&mut a.lock, &mut b.lock);
    let changes = a.lock.changes(&b.lock).into_iter();
    // A ZIP does not know the paths that its files came from, and what the lock inside leaves out is no difference.
    let both_locks = a.archive.is_none() && b.archive.is_none();
    let counts = |change: &Change| both_locks || !matches!(change, Change::SourceRenamed { .. });
    let mut report = Report {
        old: old.to_owned(),
        new: new.to_owned(),
        changes: changes.filter(counts).collect(),
        weights: Vec::new(),
    };
    for (key, model) in &a.lock.models {
        let Some(other) = b.lock.models.get(key) else {
            continue;
        };
        if let Some(verdict) = compare((&a, model), (&b, other), progress)? {
            let model = key.clone();
            report.weights.push(Weights { model, verdict });
        }
    }
    Ok(report)
}

/// Forgets what only one of the locks knows of a model's weights: those of foreign bundles know nothing of them.
fn keep_common_facts(a: &mut Lockfile, b: &mut Lockfile) {
    for (key, model) in &mut a.models {
        let Some(other) = b.models.get_mut(key) else {
            continue;
        };
        let none = LockedFacts::default();
        if model.facts == none || other.facts == none {
            model.facts = none.clone();
            other.facts = none;
        }
    }
}

type Side<'a> = (&'a Inspected, &'a LockedModel);

/// What became of a model's weights; `None` if their bytes are the same.
fn compare(a: Side, b: Side, progress: &dyn Progress) -> Result<Option<Verdict>, InspectError> {
    let contents = |(side, model): Side| {
        let path = model.weights.as_ref()?;
        Some(side.lock.file(path.as_str())?.contents)
    };
    let (Some(old), Some(new)) = (contents(a), contents(b)) else {
        return Ok(None);
    };
    if old == new {
        return Ok(None);
    }
    let digests = (a.1.facts.tensors, b.1.facts.tensors);
    Ok(Some(match (digests, archives(a, b)) {
        ((Some(old), Some(new)), _) if old == new => Verdict::SameTensors,
        (_, Some((old, new))) => {
            let _phase = Phase::begin(progress, "Comparing", old.1.1 + new.1.1);
            tensors((old.0, &old.1.0), (new.0, &new.1.0), progress)
        }
        ((Some(_), Some(_)), None) => Verdict::OtherTensors,
        (_, None) => Verdict::Bytes,
    }))
}

type Held<'a> = (&'a Archive, (BundlePath, u64));

/// Both weights where they are in ZIPs, if they are.
fn archives<'a>(a: Side<'a>, b: Side<'a>) -> Option<(Held<'a>, Held<'a>)> {
    let held = |(side, model): Side<'a>| {
        let archive = side.archive.as_ref()?;
        let path = model.weights.clone()?;
        let size = archive.entry(path.as_str())?.size;
        Some((archive, (path, size)))
    };
    Some((held(a)?, held(b)?))
}

fn tensors(
    a: (&Archive, &BundlePath),
    b: (&Archive, &BundlePath),
    progress: &dyn Progress,
) -> Verdict {
    let read = |(archive, path): (&Archive, &BundlePath)| {
        let entry = archive.entry(path.as_str());
        let entry = entry.ok_or_else(|| "it is not there".to_owned())?;
        let blob = archive
            .blob(entry, progress)
            .map_err(|error| error.to_string())?;
        let weights = weights::read(&blob, archive.path(), progress);
        weights.map_err(|error| format!("{path}: {error}"))
    };
    let (old, new) = match (read(a), read(b)) {
        (Ok(old), Ok(new)) => (old, new),
        (Err(message), _) | (_, Err(message)) => return Verdict::Unreadable { message },
    };
    match (old.tensors(), new.tensors()) {
        ([], _) | (_, []) => Verdict::Bytes,
        (old, new) => match changes(old, new, a.0.path(), progress) {
            Ok(verdict) => verdict,
            Err(error) => {
                let message = error.to_string();
                Verdict::Unreadable { message }
            }
        },
    }
}

fn changes(
    old: &[tensor::Tensor],
    new: &[tensor::Tensor],
    path: &Path,
    progress: &dyn Progress,
) -> std::io::Result<Verdict> {
    let names = |tensors: &[tensor::Tensor], others: &[tensor::Tensor]| {
        let others: std::collections::HashSet<&str> =
            others.iter().map(|tensor| tensor.name.as_str()).collect();
        let missing = tensors.iter().map(|tensor| tensor.name.as_str());
        let mut missing: Vec<String> = missing
            .filter(|name| !others.contains(name))
            .map(str::to_owned)
            .collect();
        missing.sort();
        missing
    };
    let (added, removed) = (names(new, old), names(old, new));
    let by_name: std::collections::HashMap<&str, &tensor::Tensor> = new
        .iter()
        .map(|tensor| (tensor.name.as_str(), tensor))
        .collect();
    let mut changed = Vec::new();
    for tensor in old {
        if let Some(other) = by_name.get(tensor.name.as_str()) {
            changed.extend(change(tensor, other, path, progress)?);
        }
    }
    // What changed most comes first; what cannot be measured, before all.
    let size = |change: &TensorChange| change.distance.map_or(f64::INFINITY, |x| x.max);
    changed.sort_by(|a, b| size(b).total_cmp(&size(a)).then(a.name.cmp(&b.name)));
    Ok(
        match (changed.as_slice(), added.as_slice(), removed.as_slice()) {
            ([], [], []) => Verdict::SameTensors,
            _ => Verdict::Tensors {
                total: old.len(),
                changed,
                added,
                removed,
            },
        },
    )
}

fn change(
    old: &tensor::Tensor,
    new: &tensor::Tensor,
    path: &Path,
    progress: &dyn Progress,
) -> std::io::Result<Option<TensorChange>> {
    let name = old.name.clone();
    let same_kind = (old.dtype, &old.shape) == (new.dtype, &new.shape);
    let digest = |tensor| tensor::data_digest(tensor, path, progress);
    if same_kind && digest(old)? == digest(new)? {
        return Ok(None);
    }
    let text = |tensor: &tensor::Tensor| format!("{} {:?}", tensor.dtype, tensor.shape);
    Ok(Some(TensorChange {
        name,
        reshaped: (!same_kind).then(|| (text(old), text(new))),
        distance: tensor::distance(old, new, path, progress)?,
    }))
}
