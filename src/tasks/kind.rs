//! What a model is for.

use std::fmt;

use crate::config::ModelKind;
use crate::nn;

/// What a model is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Task {
    /// Images in, images of the same size and channels out, sharper.
    Focus,
    /// Images in, a probability for each pixel and class out.
    Segment,
    /// Images and their label images in, a class for each label out.
    Classify,
    /// A table of features in, a label for each row out.
    Pi,
}

/// A model that is not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRun {
    #[error("RF-DETR models are packaged and checked, but not run yet")]
    Detector,
    #[error(
        "nothing says what the model is for: expected metadata with a `model_type` of NAFNet, MonaiUnet or FlexResNet"
    )]
    Undeclared,
}

impl Task {
    /// What a model of that kind is for; of one that HiTMicTools does not know, what networks of the kind that its
    /// metadata declares are for.
    ///
    /// # Errors
    /// Fails if such models are not run, or nothing says what it is.
    pub fn of(kind: ModelKind, network: Option<nn::Kind>) -> Result<Self, NotRun> {
        match (kind, network) {
            (ModelKind::RfdetrBase | ModelKind::RfdetrSegmentation, _) => Err(NotRun::Detector),
            (ModelKind::PiClassifier, _) => Ok(Self::Pi),
            (ModelKind::Nafnet, _) | (ModelKind::Custom, Some(nn::Kind::NafNet)) => Ok(Self::Focus),
            (ModelKind::MonaiUnet, _) | (ModelKind::Custom, Some(nn::Kind::MonaiUnet)) => {
                Ok(Self::Segment)
            }
            (ModelKind::FlexResNet, _) | (ModelKind::Custom, Some(nn::Kind::FlexResNet)) => {
                Ok(Self::Classify)
            }
            (ModelKind::Custom, Some(nn::Kind::RfDetrBase | nn::Kind::RfDetrSegmentation)) => {
                Err(NotRun::Detector)
            }
            (ModelKind::Custom, None) => Err(NotRun::Undeclared),
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Focus => "focus restoration",
            Self::Segment => "segmentation",
            Self::Classify => "classification of cells",
            Self::Pi => "PI classification",
        })
    }
}
