//! RF-DETR, of which only the number of classes is checked: its other tensors are rfdetr's business.
//!
//! Source: HiTMicTools, `model_components/oof_detector.py` and `scsegmenter.py`: the classes are counted in
//! `checkpoint["model"]["class_embed.bias"]`, which has one entry more than there are classes.

use super::layer::Expected;

/// Which RF-DETR it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Variant {
    Base,
    Segmentation,
}

/// What is known of an RF-DETR. Its loader takes no `model_args`: the classes are those of the config's `class_dict`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Args {
    pub variant: Variant,
    /// `None` where the loader counts them in the file.
    pub classes: Option<u64>,
}

/// The tensor that counts the classes.
pub(super) const CLASSES: &str = "class_embed.bias";

/// The same where the wrapper's name is still before it.
pub(super) const WRAPPED_CLASSES: &str = "model.class_embed.bias";

impl Args {
    pub(super) fn tensors(&self) -> Vec<Expected> {
        let Some(classes) = self.classes else {
            return Vec::new();
        };
        let shape = vec![classes.saturating_add(1)];
        vec![Expected::parameter("", CLASSES, shape)]
    }
}
