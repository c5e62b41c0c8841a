//! What each model key is and accepts: the keys that HiTMicTools knows, their names in a bundle and their arguments.
//!
//! Names are those of HiTMicTools' `model_bundler.py`. Arguments are the keyword parameters, with the assertions, of
//! the classes its loader calls: `FocusRestorer` with `ImageScaler`, `Segmentator`, `CellClassifier`, `OofDetector`, `ScSegmenter`.

use std::fmt;

/// A top-level key that declares a model: letters, digits, `_` and `-`.
///
/// It names a folder in the archive, so it is also a name that every file system takes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelKey(String);

/// The text is no model key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected letters, digits, `_` and `-`, at most 64, found `{found}`")]
pub struct ParseModelKeyError {
    pub found: String,
}

impl ModelKey {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What HiTMicTools makes of the key.
    pub fn kind(&self) -> ModelKind {
        spec(&self.0).map_or(ModelKind::Custom, |spec| spec.kind)
    }
}

impl std::str::FromStr for ModelKey {
    type Err = ParseModelKeyError;

    fn from_str(text: &str) -> Result<Self, ParseModelKeyError> {
        let valid = is_portable_name(text)
            && text.len() <= 64
            && !text.contains('.')
            && !matches!(text, "bundle" | "tracker" | "_bundle_metadata");
        valid
            .then(|| Self(text.to_owned()))
            .ok_or_else(|| ParseModelKeyError {
                found: text.to_owned(),
            })
    }
}

impl fmt::Display for ModelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What computes a model's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ModelKind {
    Nafnet,
    MonaiUnet,
    FlexResNet,
    PiClassifier,
    RfdetrBase,
    RfdetrSegmentation,
    /// A model that HiTMicTools does not know; its metadata's `model_type` says what it is.
    Custom,
}

impl fmt::Display for ModelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nafnet => "NAFNet",
            Self::MonaiUnet => "MONAI UNet",
            Self::FlexResNet => "FlexResNet",
            Self::PiClassifier => "scikit-learn classifier",
            Self::RfdetrBase => "RF-DETR base",
            Self::RfdetrSegmentation => "RF-DETR segmentation",
            Self::Custom => "a model of its own",
        })
    }
}

/// A catalogued model key.
#[derive(Debug)]
pub struct ModelSpec {
    pub key: &'static str,
    pub kind: ModelKind,
    /// The stem of its files in the archive.
    pub bundle_name: &'static str,
    pub arguments: Arguments,
    /// Whether the loader fails without metadata that has `model_args`.
    pub needs_metadata: bool,
    /// The file types that the loader opens.
    pub loadable: &'static [&'static str],
}

/// The table of arguments that the loader passes on.
#[derive(Clone, Copy, Debug)]
pub struct Arguments {
    /// `inferer_args` or `model_args`; empty where the loader passes none.
    pub table: &'static str,
    pub specs: &'static [ArgSpec],
    /// Whether the loader fails without the table.
    pub required: bool,
}

/// One argument.
#[derive(Debug)]
pub struct ArgSpec {
    pub name: &'static str,
    pub kind: ArgKind,
    /// Whether the loader fails without it.
    pub required: bool,
}

/// What an argument accepts.
#[derive(Debug)]
pub enum ArgKind {
    /// An integer, at least and at most.
    Int(i64, i64),
    /// A number; integers count, and are packed as floats.
    Float(Range),
    Bool,
    Choice(&'static [&'static str]),
    /// A mode of `torch.compile`, or `false`.
    CompileMode,
    /// Class numbers to names.
    IntToName,
    /// Class names to numbers.
    NameToInt,
    Table(&'static [ArgSpec]),
}

/// A range of numbers.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    pub low: f64,
    pub low_included: bool,
    pub high: f64,
    pub high_included: bool,
}

impl Range {
    const fn new(low: f64, low_included: bool, high: f64, high_included: bool) -> Self {
        Self {
            low,
            low_included,
            high,
            high_included,
        }
    }

    /// Whether `x` lies within; NaN does not.
    pub fn contains(&self, x: f64) -> bool {
        let above = x > self.low || (self.low_included && x == self.low);
        let below = x < self.high || (self.high_included && x == self.high);
        above && below
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            low,
            low_included,
            high,
            high_included,
        } = self;
        match (low_included, high_included) {
            (true, true) => write!(f, "a number from {low} to {high}"),
            (true, false) => write!(f, "a number from {low} to below {high}"),
            (false, true) => write!(f, "a number above {low}, up to {high}"),
            (false, false) => write!(f, "a number above {low} and below {high}"),
        }
    }
}

const POSITIVE: ArgKind = ArgKind::Int(1, i64::MAX);
const COUNT: ArgKind = ArgKind::Int(0, i64::MAX);
const FRACTION: ArgKind = ArgKind::Float(Range::new(0.0, true, 1.0, true));
const OVERLAP: ArgKind = ArgKind::Float(Range::new(0.0, true, 1.0, false));
const PERCENT: ArgKind = ArgKind::Float(Range::new(0.0, true, 100.0, true));

const fn required(name: &'static str, kind: ArgKind) -> ArgSpec {
    ArgSpec {
        name,
        kind,
        required: true,
    }
}

const fn optional(name: &'static str, kind: ArgKind) -> ArgSpec {
    ArgSpec {
        name,
        kind,
        required: false,
    }
}

const SCALER_ARGS: &[ArgSpec] = &[
    optional("pmin", PERCENT),
    optional("pmax", PERCENT),
    optional("clip", ArgKind::Bool),
    optional("bit_depth", ArgKind::Int(1, 32)),
];

const FOCUS_ARGS: &[ArgSpec] = &[
    required("patch_size", POSITIVE),
    required("overlap_ratio", OVERLAP),
    optional(
        "scale_method",
        ArgKind::Choice(&["range01", "zscore", "combined", "fixed_range"]),
    ),
    optional("half_precision", ArgKind::Bool),
    optional("scaler_args", ArgKind::Table(SCALER_ARGS)),
];

const SEGMENTATION_ARGS: &[ArgSpec] = &[
    required("patch_size", POSITIVE),
    required("overlap_ratio", OVERLAP),
    optional(
        "scale_method",
        ArgKind::Choice(&["range01", "zscore", "combined", "fixed_range", "none"]),
    ),
    optional("half_precision", ArgKind::Bool),
    optional("scaler_args", ArgKind::Table(SCALER_ARGS)),
];

const CLASSIFIER_ARGS: &[ArgSpec] = &[
    optional("batch_size", POSITIVE),
    optional("min_size", POSITIVE),
    optional("classes", ArgKind::IntToName),
];

const OOF_ARGS: &[ArgSpec] = &[
    optional("patch_size", POSITIVE),
    optional("overlap_ratio", OVERLAP),
    optional("score_threshold", FRACTION),
    optional("nms_iou", FRACTION),
    optional("class_dict", ArgKind::NameToInt),
    optional("compile_mode", ArgKind::CompileMode),
];

const SC_ARGS: &[ArgSpec] = &[
    optional("patch_size", POSITIVE),
    optional("overlap_ratio", OVERLAP),
    optional("score_threshold", FRACTION),
    optional("nms_iou", FRACTION),
    optional("class_dict", ArgKind::IntToName),
    optional("temporal_buffer_size", POSITIVE),
    optional("batch_size", POSITIVE),
    optional(
        "mask_threshold",
        ArgKind::Float(Range::new(0.0, false, 1.0, false)),
    ),
    optional("clump_merge_min_overlap", COUNT),
    optional(
        "priority_overlap_fraction",
        ArgKind::Float(Range::new(0.0, false, 1.0, true)),
    ),
    optional("min_mask_area", COUNT),
    optional("compile_mode", ArgKind::CompileMode),
];

/// The modes of `torch.compile` that the detectors accept besides `false`.
pub const COMPILE_MODES: &[&str] = &["default", "reduce-overhead", "max-autotune"];

const TORCH: &[&str] = &["pth", "pt"];

const FOCUS: Arguments = Arguments {
    table: "inferer_args",
    specs: FOCUS_ARGS,
    required: true,
};

/// Every model key that HiTMicTools knows.
pub const MODELS: &[ModelSpec] = &[
    ModelSpec {
        key: "bf_focus",
        kind: ModelKind::Nafnet,
        bundle_name: "NAFNet-bf_focus_restoration",
        arguments: FOCUS,
        needs_metadata: true,
        loadable: TORCH,
    },
    ModelSpec {
        key: "fl_focus",
        kind: ModelKind::Nafnet,
        bundle_name: "NAFNet-fl_focus_restoration",
        arguments: FOCUS,
        needs_metadata: true,
        loadable: TORCH,
    },
    ModelSpec {
        key: "segmentation",
        kind: ModelKind::MonaiUnet,
        bundle_name: "MonaiUnet-segmentation",
        arguments: Arguments {
            table: "inferer_args",
            specs: SEGMENTATION_ARGS,
            required: true,
        },
        needs_metadata: true,
        loadable: TORCH,
    },
    ModelSpec {
        key: "cell_classifier",
        kind: ModelKind::FlexResNet,
        bundle_name: "FlexResNet-cell_classifier",
        arguments: Arguments {
            table: "model_args",
            specs: CLASSIFIER_ARGS,
            required: true,
        },
        needs_metadata: true,
        loadable: TORCH,
    },
    ModelSpec {
        key: "pi_classification",
        kind: ModelKind::PiClassifier,
        bundle_name: "PIClassifier",
        arguments: Arguments {
            table: "",
            specs: &[],
            required: false,
        },
        needs_metadata: false,
        loadable: &["pkl", "joblib", "onnx"],
    },
    ModelSpec {
        key: "oof_detector",
        kind: ModelKind::RfdetrBase,
        bundle_name: "RFDETR-oof_detector",
        arguments: Arguments {
            table: "inferer_args",
            specs: OOF_ARGS,
            required: false,
        },
        needs_metadata: false,
        loadable: TORCH,
    },
    ModelSpec {
        key: "sc_segmenter",
        kind: ModelKind::RfdetrSegmentation,
        bundle_name: "RFDETRSegm-sc_segmenter",
        arguments: Arguments {
            table: "inferer_args",
            specs: SC_ARGS,
            required: false,
        },
        needs_metadata: false,
        loadable: TORCH,
    },
];

/// What HiTMicTools' pipelines load of a bundle.
pub const PIPELINES: &[(&str, &[&str])] = &[
    ("ASCT_focusrestore", FIRST_FIVE),
    ("ASCT_ImageProcessing", FIRST_FIVE),
    ("ASCT_scsegm", SEGMENTER),
    ("ASCT_cellasic", SEGMENTER),
    (
        "ASCT_zaslavier",
        &[
            "bf_focus",
            "fl_focus",
            "segmentation",
            "cell_classifier",
            "pi_classification",
            "sc_segmenter",
        ],
    ),
    (
        "oof_detection",
        &[
            "bf_focus",
            "fl_focus",
            "oof_detector",
            "segmentation",
            "cell_classifier",
        ],
    ),
];

const FIRST_FIVE: &[&str] = &[
    "bf_focus",
    "fl_focus",
    "segmentation",
    "cell_classifier",
    "pi_classification",
];
const SEGMENTER: &[&str] = &["bf_focus", "fl_focus", "sc_segmenter", "pi_classification"];

/// The catalogue's entry for a key.
pub fn spec(key: &str) -> Option<&'static ModelSpec> {
    MODELS.iter().find(|spec| spec.key == key)
}

/// Whether a file name of this stem is one on every system: `[A-Za-z0-9._-]+`, no leading or final point, no device of Windows.
pub fn is_portable_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=100).contains(&text.len())
        && text.bytes().all(allowed)
        && !text.starts_with(['.', '-'])
        && !text.ends_with('.')
        && !is_windows_device(text)
}

/// Whether Windows takes the name, whatever its extension, for a device.
pub fn is_windows_device(text: &str) -> bool {
    let stem = text
        .split('.')
        .next()
        .unwrap_or_default()
        .trim_end()
        .to_ascii_lowercase();
    match stem.as_bytes() {
        b"con" | b"prn" | b"aux" | b"nul" => true,
        [b'c', b'o', b'm', digit] | [b'l', b'p', b't', digit] => digit.is_ascii_digit(),
        _ => false,
    }
}
