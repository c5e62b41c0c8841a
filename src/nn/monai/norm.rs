//! Normalisations by name, as MONAI's factories make them.
//!
//! Sources: MONAI 1.5, `networks/layers/factories.py`, `networks/layers/utils.py` (`get_norm_layer`), and PyTorch's
//! `InstanceNorm2d`, `BatchNorm2d` and `GroupNorm` that they construct.

use serde_json::{Map, Value, json};

use super::MAX_CHANNELS;
use crate::nn::arguments::{Arg, Errors, Layer, Table};

/// A normalisation over one image's channels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Norm {
    None,
    /// Over each channel of each image; over running statistics where it is `tracked`.
    Instance {
        eps: f64,
        affine: bool,
        tracked: bool,
    },
    /// Over running statistics; over each channel of the batch where it is not `tracked`.
    Batch {
        eps: f64,
        affine: bool,
        tracked: bool,
    },
    /// Over groups of channels of each image.
    Group {
        groups: u64,
        eps: f64,
        affine: bool,
    },
}

const NORMS: [&str; 3] = ["INSTANCE", "BATCH", "GROUP"];
const OTHER_NORMS: [&str; 4] = ["INSTANCE_NVFUSER", "LAYER", "LOCALRESPONSE", "SYNCBATCH"];
/// The eps of PyTorch's norms where none is given.
const EPS: f64 = 1e-5;

impl Norm {
    /// MONAI's default.
    pub const DEFAULT: Self = Self::Instance {
        eps: EPS,
        affine: false,
        tracked: false,
    };

    pub(in crate::nn) fn read(arg: &Arg<'_>, errors: &mut Errors) -> Option<Self> {
        let named = match arg.layer(errors)? {
            Layer::None => return Some(Self::None),
            Layer::Named(named) => named,
        };
        let name = named.name.as_str();
        if !NORMS.contains(&name) {
            named.refuse(errors, "norm", &NORMS, &OTHER_NORMS);
            return None;
        }
        let mut table = named.table();
        // PyTorch takes any eps, but only a positive one keeps a constant image from becoming NaN.
        let eps = table.read("eps", EPS, |x| {
            x.float(errors, "a positive number", |x| x > 0.0)
        });
        let affine = table.read("affine", name != "INSTANCE", |x| x.bool(errors));
        let read = if name == "GROUP" {
            let groups = table
                .require("num_groups")
                .map(|x| x.int(errors, 1..=MAX_CHANNELS));
            let groups = groups.flatten();
            Self::group(groups, eps, affine)
        } else {
            momentum(&mut table, errors);
            let tracked = table.read("track_running_stats", name == "BATCH", |x| x.bool(errors));
            Self::tracking(name == "BATCH", eps, affine, tracked)
        };
        table.finish(errors, |name| match name {
            "num_features" | "num_channels" => {
                Some("leave it out: every layer has its own number of channels".to_owned())
            }
            _ => None,
        });
        read
    }

    fn group(groups: Option<u64>, eps: Option<f64>, affine: Option<bool>) -> Option<Self> {
        Some(Self::Group {
            groups: groups?,
            eps: eps?,
            affine: affine?,
        })
    }

    fn tracking(
        batch: bool,
        eps: Option<f64>,
        affine: Option<bool>,
        tracked: Option<bool>,
    ) -> Option<Self> {
        let (eps, affine, tracked) = (eps?, affine?, tracked?);
        Some(match batch {
            true => Self::Batch {
                eps,
                affine,
                tracked,
            },
            false => Self::Instance {
                eps,
                affine,
                tracked,
            },
        })
    }

    /// Whether it learns a scale and a shift.
    pub fn affine(self) -> bool {
        match self {
            Self::None => false,
            Self::Instance { affine, .. }
            | Self::Batch { affine, .. }
            | Self::Group { affine, .. } => affine,
        }
    }

    /// Whether it keeps running statistics.
    pub fn tracked(self) -> bool {
        matches!(
            self,
            Self::Instance { tracked: true, .. } | Self::Batch { tracked: true, .. }
        )
    }

    /// Whether PyTorch normalises `channels` of this size; it refuses to over a single value.
    pub(in crate::nn) fn runs(self, channels: u64, [height, width]: [u64; 2]) -> bool {
        let pixels = height.saturating_mul(width);
        match self {
            Self::Group { groups, .. } => pixels.saturating_mul(channels / groups.max(1)) > 1,
            Self::Instance { tracked: false, .. } | Self::Batch { tracked: false, .. } => {
                pixels > 1
            }
            _ => true,
        }
    }

    /// As it is written in metadata, in the shortest form.
    pub(in crate::nn) fn to_json(self) -> Value {
        let (name, plain, eps) = match self {
            Self::None => return Value::Null,
            Self::Instance { eps, .. } => ("INSTANCE", (false, false), eps),
            Self::Batch { eps, .. } => ("BATCH", (true, true), eps),
            Self::Group { eps, .. } => ("GROUP", (true, false), eps),
        };
        let mut arguments = Map::new();
        if let Self::Group { groups, .. } = self {
            arguments.insert("num_groups".to_owned(), json!(groups));
        }
        if eps != EPS {
            arguments.insert("eps".to_owned(), json!(eps));
        }
        if self.affine() != plain.0 {
            arguments.insert("affine".to_owned(), json!(self.affine()));
        }
        if self.tracked() != plain.1 {
            arguments.insert("track_running_stats".to_owned(), json!(self.tracked()));
        }
        match arguments.is_empty() {
            true => json!(name),
            false => json!([name, arguments]),
        }
    }
}

/// `momentum` counts in training only; BatchNorm's may be null.
fn momentum(table: &mut Table<'_>, errors: &mut Errors) {
    table.read("momentum", 0.1, |x| match x.value {
        Value::Null => Some(0.0),
        _ => x.float(errors, "a number or null", |_| true),
    });
}
