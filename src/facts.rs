//! What must be known of a file of weights to lock and check it: derived from its bytes alone, and so kept under their digest.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::blob::Blob;
use crate::cache::Cache;
use crate::digest::Digest;
use crate::progress::Progress;
use crate::weights::audit::{Fault, Finding};
use crate::weights::{self, Content, Weights, WeightsError, onnx, sklearn, tensor};

/// The version of the code that derives facts: whatever changes what it finds raises it, and what was kept is derived anew.
const VERSION: u32 = 2;

/// What a file of weights is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// The container: `PyTorch checkpoint`, `safetensors`, `ONNX model`.
    pub format: String,
    pub kind: FactKind,
    /// Every tensor, sorted by name; for an ONNX model its initialisers.
    pub tensors: Vec<TensorFact>,
    /// The tensor digest, where there are tensors.
    pub tensor_digest: Option<Digest>,
    /// How many numbers were learnt.
    pub parameters: Option<u64>,
    /// Every pickle global that the file names, sorted.
    pub globals: Vec<String>,
    /// What the audit found, whatever any config allows.
    pub findings: Vec<FindingFact>,
}

/// What a file of weights holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FactKind {
    /// The tensors of a network, perhaps in a wrapper that was taken off.
    Tensors { wrapper: Option<String> },
    /// A graph with its tensors.
    Onnx(OnnxFacts),
    /// A fitted scikit-learn estimator.
    Estimator(EstimatorFacts),
    /// A network with its code, which cannot be run here.
    Program { what: String },
    /// Something else that is recognised.
    Other { what: String },
    /// Nothing that any loader would open.
    None { found: String },
}

/// What an ONNX model says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OnnxFacts {
    pub opset: i64,
    /// The sizes of each input; none where any size will do.
    pub inputs: Vec<Vec<Option<u64>>>,
    /// `feature_names` of its metadata, which HiTMicTools needs for a PI classifier.
    pub has_feature_names: bool,
}

/// What a fitted estimator says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EstimatorFacts {
    /// `Pipeline(StandardScaler, LogisticRegression)`.
    pub architecture: String,
    pub sklearn_version: Option<String>,
    /// How many features it takes, if it minds.
    pub features: Option<u64>,
    pub feature_names: Option<Vec<String>>,
    /// How many classes it tells apart, if it is a classifier.
    pub classes: Option<u64>,
}

/// A tensor's name, type and shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TensorFact {
    pub name: String,
    pub dtype: String,
    pub shape: Vec<u64>,
}

/// Something that a pickle should not do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FindingFact {
    /// The member of the file, where it has members.
    pub member: Option<String>,
    /// For a pickle in a byte string of another one: where that byte string is, from the outermost pickle inwards.
    pub within: Vec<u64>,
    /// Where in the stream, in bytes.
    pub offset: u64,
    /// The global that can be allowed, if that would lift the finding.
    pub allowable: Option<String>,
    /// A whole sentence.
    pub message: String,
}

impl FindingFact {
    /// Whether one of `allowed` lifts it.
    pub fn is_lifted(&self, allowed: &[String]) -> bool {
        self.allowable
            .as_ref()
            .is_some_and(|global| allowed.contains(global))
    }

    /// Where it is, in words.
    pub fn place(&self) -> String {
        let mut place = String::new();
        if let Some(member) = &self.member {
            place = format!("`{member}`, ");
        }
        for offset in &self.within {
            place += &format!("the pickle in the value at byte {offset}, ");
        }
        format!("{place}byte {}", self.offset)
    }
}

impl Facts {
    /// Derives the facts of a file from its bytes; `path` is what messages and `progress` call it.
    ///
    /// # Errors
    /// Fails if it cannot be read to its end.
    pub fn derive(blob: &Blob, path: &Path, progress: &dyn Progress) -> Result<Self, WeightsError> {
        let weights = weights::read(blob, path, progress)?;
        Self::of(&weights, path, progress)
    }

    /// The facts of weights that have been read.
    ///
    /// # Errors
    /// Fails if the tensors cannot be read.
    pub fn of(
        weights: &Weights,
        path: &Path,
        progress: &dyn Progress,
    ) -> Result<Self, WeightsError> {
        let tensors = weights.tensors().iter();
        let mut table: Vec<TensorFact> = tensors.map(TensorFact::from).collect();
        table.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self {
            format: weights.format.to_string(),
            kind: kind(weights),
            parameters: weights.parameters(),
            tensors: table,
            tensor_digest: weights.tensor_digest(path, progress)?,
            globals: weights.audit.globals.iter().cloned().collect(),
            findings: weights.audit.findings.iter().map(finding).collect(),
        })
    }

    /// The facts that the cache holds under the digest of a file's bytes; `None` if it holds none that can be trusted to be whole.
    pub fn cached(cache: &Cache, content: Digest) -> Option<Self> {
        let text = cache.facts(content, VERSION)?;
        serde_json::from_str(&text).ok()
    }

    /// Keeps the facts for the file whose bytes have this digest.
    ///
    /// # Errors
    /// Fails if the cache cannot be written.
    pub fn store(&self, cache: &Cache, content: Digest) -> io::Result<()> {
        cache.store_facts(content, VERSION, &serde_json::to_string(self)?)
    }

    /// The types of the tensors' elements, that of most first: `float32, int64`.
    pub fn dtype(&self) -> Option<String> {
        let mut counts: Vec<(&str, u64)> = Vec::new();
        for tensor in &self.tensors {
            let elements = tensor.shape.iter().fold(1_u64, |a, b| a.saturating_mul(*b));
            match counts.iter_mut().find(|(dtype, _)| *dtype == tensor.dtype) {
                Some((_, count)) => *count = count.saturating_add(elements),
                None => counts.push((&tensor.dtype, elements)),
            }
        }
        counts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        let names: Vec<&str> = counts.into_iter().map(|(dtype, _)| dtype).collect();
        (!names.is_empty()).then(|| names.join(", "))
    }

    /// The findings that `allowed` does not lift.
    pub fn refused<'a>(&'a self, allowed: &'a [String]) -> impl Iterator<Item = &'a FindingFact> {
        self.findings
            .iter()
            .filter(|finding| !finding.is_lifted(allowed))
    }
}

impl From<&tensor::Tensor> for TensorFact {
    fn from(tensor: &tensor::Tensor) -> Self {
        Self {
            name: tensor.name.clone(),
            dtype: tensor.dtype.name().to_owned(),
            shape: tensor.shape.clone(),
        }
    }
}

fn finding(finding: &Finding) -> FindingFact {
    let allowable = match &finding.fault {
        Fault::Unknown { global } => Some(global.to_string()),
        _ => None,
    };
    FindingFact {
        member: finding.member.clone(),
        within: finding.within.clone(),
        offset: finding.offset,
        allowable,
        message: finding.fault.to_string(),
    }
}

fn kind(weights: &Weights) -> FactKind {
    match &weights.content {
        Content::Checkpoint(_) | Content::Tensors(_) => FactKind::Tensors {
            wrapper: weights.wrapper().map(str::to_owned),
        },
        Content::Onnx(model) => FactKind::Onnx(OnnxFacts {
            opset: model.opset("").unwrap_or_default(),
            inputs: model.graph.inputs.iter().map(sizes).collect(),
            has_feature_names: model.feature_names().is_some(),
        }),
        Content::Estimator(estimator) => FactKind::Estimator(EstimatorFacts {
            architecture: architecture(estimator),
            sklearn_version: estimator.version.clone(),
            features: estimator.features.map(|features| features as u64),
            feature_names: estimator.feature_names.clone(),
            classes: estimator.classes().map(|classes| classes.len() as u64),
        }),
        Content::Program { what } => FactKind::Program { what: what.clone() },
        Content::Other { what } => FactKind::Other { what: what.clone() },
        Content::None { found } => FactKind::None {
            found: (*found).to_owned(),
        },
    }
}

/// The sizes of an input, none where any will do; empty if it is no tensor, or may have any number of dimensions.
fn sizes(input: &onnx::Declaration) -> Vec<Option<u64>> {
    let onnx::Kind::Tensor {
        shape: Some(shape), ..
    } = &input.kind
    else {
        return Vec::new();
    };
    let size = |dim: &onnx::Dim| match dim {
        onnx::Dim::Known(size) => Some(*size),
        onnx::Dim::Named(_) | onnx::Dim::Unknown => None,
    };
    shape.iter().map(size).collect()
}

/// `Pipeline(StandardScaler, LogisticRegression)`.
fn architecture(estimator: &sklearn::Estimator) -> String {
    let sklearn::Model::Pipeline(steps) = &estimator.model else {
        return estimator.class.to_owned();
    };
    let steps = steps.iter().map(|step| match &step.estimator {
        Some(estimator) => architecture(estimator),
        None => "passthrough".to_owned(),
    });
    format!(
        "{}({})",
        estimator.class,
        steps.collect::<Vec<_>>().join(", ")
    )
}
