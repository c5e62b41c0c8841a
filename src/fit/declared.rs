//! What a model is declared to be, by its key or its metadata.

use std::fmt;

use crate::config::{Model, ModelKind};
use crate::nn;

/// What a model is declared to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Declared {
    Network(nn::Kind),
    /// A classifier of table rows.
    Estimator,
}

impl Declared {
    /// By the catalogue, or by the metadata's `model_type`; `None` if nothing says.
    pub(super) fn of(model: &Model) -> Option<Self> {
        Some(Self::Network(match model.kind {
            ModelKind::Nafnet => nn::Kind::NafNet,
            ModelKind::MonaiUnet => nn::Kind::MonaiUnet,
            ModelKind::FlexResNet => nn::Kind::FlexResNet,
            ModelKind::RfdetrBase => nn::Kind::RfDetrBase,
            ModelKind::RfdetrSegmentation => nn::Kind::RfDetrSegmentation,
            ModelKind::PiClassifier => return Some(Self::Estimator),
            ModelKind::Custom => {
                let metadata = model.metadata.as_ref()?;
                network_kind(metadata.json.get("model_type")?.as_str()?)?
            }
        }))
    }
}

/// Which RF-DETR it is, if it is one.
pub(super) fn detector(kind: nn::Kind) -> Option<nn::rfdetr::Variant> {
    match kind {
        nn::Kind::RfDetrBase => Some(nn::rfdetr::Variant::Base),
        nn::Kind::RfDetrSegmentation => Some(nn::rfdetr::Variant::Segmentation),
        nn::Kind::NafNet | nn::Kind::MonaiUnet | nn::Kind::FlexResNet => None,
    }
}

/// The network that a `model_type` in a metadata file names: HiTMicTools' own names, in any case.
pub(super) fn network_kind(model_type: &str) -> Option<nn::Kind> {
    Some(match model_type.to_ascii_lowercase().as_str() {
        "nafnet" => nn::Kind::NafNet,
        "monaiunet" => nn::Kind::MonaiUnet,
        "flexresnet" => nn::Kind::FlexResNet,
        "rfdetrbase" => nn::Kind::RfDetrBase,
        "rfdetrsegpreview" => nn::Kind::RfDetrSegmentation,
        _ => return None,
    })
}

impl fmt::Display for Declared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(kind) => kind.fmt(f),
            Self::Estimator => f.write_str("scikit-learn classifier"),
        }
    }
}
