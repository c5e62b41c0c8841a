//! MONAI's layers by name: activations, norms and dropout of its factories, and the order in which they follow a convolution.
//!
//! Sources: MONAI 1.5, `networks/layers/factories.py`, `networks/layers/utils.py` (`get_act_layer`, `get_norm_layer`,
//! `get_dropout_layer`), `networks/blocks/acti_norm.py` (`ADN`), and the PyTorch classes that they construct.

use serde_json::{Map, Value, json};

use super::arguments::{Arg, Entry, Errors, Layer, Named, Table};

/// The most channels a layer may have: far beyond any network, and small enough that sizes cannot overflow.
pub(super) const MAX_CHANNELS: u64 = 1 << 20;

/// An activation, with the arguments that its result depends on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    None,
    /// Slopes are learnt: one for all channels, or one each.
    Prelu {
        parameters: u64,
    },
    Relu,
    LeakyRelu {
        slope: f64,
    },
    Elu {
        alpha: f64,
    },
    /// By the error function, or by its approximation with a hyperbolic tangent.
    Gelu {
        tanh: bool,
    },
    /// `x * sigmoid(alpha * x)`
    Swish {
        alpha: f64,
    },
    Mish,
    Tanh,
    Sigmoid,
}

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

/// Dropout: nothing when a network is run, kept because it is declared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Dropout {
    None,
    Plain { p: f64 },
    Alpha { p: f64 },
}

/// What may follow a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Letter {
    Activation,
    Dropout,
    Norm,
}

const ACTIVATIONS: [&str; 9] = [
    "PRELU",
    "RELU",
    "LEAKYRELU",
    "ELU",
    "GELU",
    "SWISH",
    "MISH",
    "TANH",
    "SIGMOID",
];
const OTHER_ACTIVATIONS: [&str; 7] = [
    "RELU6",
    "SELU",
    "CELU",
    "SOFTMAX",
    "LOGSOFTMAX",
    "MEMSWISH",
    "GEGLU",
];
const NORMS: [&str; 3] = ["INSTANCE", "BATCH", "GROUP"];
const OTHER_NORMS: [&str; 4] = ["INSTANCE_NVFUSER", "LAYER", "LOCALRESPONSE", "SYNCBATCH"];
const DROPOUTS: [&str; 2] = ["DROPOUT", "ALPHADROPOUT"];

/// The eps of PyTorch's norms where none is given.
const EPS: f64 = 1e-5;

fn no_help(_: &str) -> Option<String> {
    None
}

impl Activation {
    /// MONAI's default.
    pub const DEFAULT: Self = Self::Prelu { parameters: 1 };

    pub(super) fn read(arg: &Arg<'_>, errors: &mut Errors) -> Option<Self> {
        let named = match arg.layer(errors)? {
            Layer::None => return Some(Self::None),
            Layer::Named(named) => named,
        };
        let mut table = named.table();
        let read = Self::of_name(&named, &mut table, errors)?;
        table.finish(errors, no_help);
        read
    }

    /// The outer `None` is a name that is refused, the inner one an argument.
    fn of_name(
        named: &Named<'_>,
        table: &mut Table<'_>,
        errors: &mut Errors,
    ) -> Option<Option<Self>> {
        let number = "a number";
        // `inplace` and PReLU's `init` change no result: the slopes are in the weights.
        Some(match named.name.as_str() {
            "PRELU" => {
                table.read("init", 0.25, |x| x.float(errors, number, |_| true));
                table
                    .read("num_parameters", 1, |x| x.int(errors, 1..=MAX_CHANNELS))
                    .map(|parameters| Self::Prelu { parameters })
            }
            "RELU" => inplace(table, errors).map(|_| Self::Relu),
            "LEAKYRELU" => {
                let slope = table.read("negative_slope", 0.01, |x| {
                    x.float(errors, number, |_| true)
                });
                inplace(table, errors)
                    .and(slope)
                    .map(|slope| Self::LeakyRelu { slope })
            }
            "ELU" => {
                let alpha = table.read("alpha", 1.0, |x| x.float(errors, number, |_| true));
                inplace(table, errors)
                    .and(alpha)
                    .map(|alpha| Self::Elu { alpha })
            }
            "GELU" => table
                .read("approximate", false, |x| match x.value.as_str() {
                    Some("none") => Some(false),
                    Some("tanh") => Some(true),
                    _ => {
                        x.wrong(errors, "\"none\" or \"tanh\"", None);
                        None
                    }
                })
                .map(|tanh| Self::Gelu { tanh }),
            "SWISH" => table
                .read("alpha", 1.0, |x| x.float(errors, number, |_| true))
                .map(|alpha| Self::Swish { alpha }),
            "MISH" => inplace(table, errors).map(|_| Self::Mish),
            "TANH" => Some(Self::Tanh),
            "SIGMOID" => Some(Self::Sigmoid),
            _ => {
                named.refuse(errors, "activation", &ACTIVATIONS, &OTHER_ACTIVATIONS);
                return None;
            }
        })
    }

    /// As it is written in metadata, in the shortest form.
    pub(super) fn to_json(self) -> Value {
        match self {
            Self::None => Value::Null,
            Self::Prelu { parameters: 1 } => json!("PRELU"),
            Self::Prelu { parameters } => json!(["PRELU", {"num_parameters": parameters}]),
            Self::Relu => json!("RELU"),
            Self::LeakyRelu { slope: 0.01 } => json!("LEAKYRELU"),
            Self::LeakyRelu { slope } => json!(["LEAKYRELU", {"negative_slope": slope}]),
            Self::Elu { alpha: 1.0 } => json!("ELU"),
            Self::Elu { alpha } => json!(["ELU", {"alpha": alpha}]),
            Self::Gelu { tanh: false } => json!("GELU"),
            Self::Gelu { tanh: true } => json!(["GELU", {"approximate": "tanh"}]),
            Self::Swish { alpha: 1.0 } => json!("SWISH"),
            Self::Swish { alpha } => json!(["SWISH", {"alpha": alpha}]),
            Self::Mish => json!("MISH"),
            Self::Tanh => json!("TANH"),
            Self::Sigmoid => json!("SIGMOID"),
        }
    }
}

fn inplace(table: &mut Table<'_>, errors: &mut Errors) -> Option<bool> {
    table.read("inplace", false, |x| x.bool(errors))
}

impl Norm {
    /// MONAI's default.
    pub const DEFAULT: Self = Self::Instance {
        eps: EPS,
        affine: false,
        tracked: false,
    };

    pub(super) fn read(arg: &Arg<'_>, errors: &mut Errors) -> Option<Self> {
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
    pub(super) fn runs(self, channels: u64, [height, width]: [u64; 2]) -> bool {
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
    pub(super) fn to_json(self) -> Value {
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

impl Dropout {
    pub(super) fn read(arg: &Arg<'_>, errors: &mut Errors) -> Option<Self> {
        if arg.value.is_number() {
            return probability(arg, errors).map(|p| Self::Plain { p });
        }
        let named = match arg.layer(errors)? {
            Layer::None => return Some(Self::None),
            Layer::Named(named) => named,
        };
        if !DROPOUTS.contains(&named.name.as_str()) {
            named.refuse(errors, "dropout", &DROPOUTS, &[]);
            return None;
        }
        let mut table = named.table();
        let p = table.read("p", 0.5, |x| probability(x, errors));
        inplace(&mut table, errors);
        table.finish(errors, no_help);
        match named.name.as_str() {
            "DROPOUT" => p.map(|p| Self::Plain { p }),
            _ => p.map(|p| Self::Alpha { p }),
        }
    }

    /// As it is written in metadata, in the shortest form.
    pub(super) fn to_json(self) -> Value {
        match self {
            Self::None => Value::Null,
            Self::Plain { p } => json!(p),
            Self::Alpha { p } => json!(["ALPHADROPOUT", {"p": p}]),
        }
    }
}

fn probability(arg: &Arg<'_>, errors: &mut Errors) -> Option<f64> {
    arg.float(errors, "a number from 0 to 1", |p| (0.0..=1.0).contains(&p))
}

impl Letter {
    const ALL: [(Self, char); 3] = [
        (Self::Activation, 'A'),
        (Self::Dropout, 'D'),
        (Self::Norm, 'N'),
    ];

    fn of(letter: char) -> Option<Self> {
        let all = Self::ALL.iter();
        let upper = letter.to_ascii_uppercase();
        all.copied()
            .find(|(_, name)| *name == upper)
            .map(|(letter, _)| letter)
    }

    fn name(self) -> char {
        let all = Self::ALL.iter();
        all.copied()
            .find(|(letter, _)| *letter == self)
            .map_or('A', |(_, name)| name)
    }
}

/// The order of normalisation, dropout and activation.
///
/// A letter that comes again replaces the module of its first coming, which keeps its place (`ADN.__init__` uses
/// `add_module`): only first comings count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ordering(Vec<Letter>);

impl Default for Ordering {
    fn default() -> Self {
        Self(vec![Letter::Norm, Letter::Dropout, Letter::Activation])
    }
}

impl Ordering {
    pub fn letters(&self) -> &[Letter] {
        &self.0
    }

    pub(super) fn read(arg: &Arg<'_>, errors: &mut Errors) -> Option<Self> {
        let expected = "an order of the letters A, D and N, such as \"NDA\"";
        let Some(text) = arg.value.as_str() else {
            arg.wrong(errors, expected, None);
            return None;
        };
        let mut letters = Vec::with_capacity(3);
        for letter in text.chars() {
            let Some(letter) = Letter::of(letter) else {
                arg.wrong(errors, expected, None);
                return None;
            };
            if !letters.contains(&letter) {
                letters.push(letter);
            }
        }
        Some(Self(letters))
    }

    pub(super) fn to_json(&self) -> Value {
        let text: String = self.0.iter().map(|letter| letter.name()).collect();
        Value::String(text)
    }
}

/// What every convolution of a network is made with, and followed by.
#[derive(Clone, Debug, PartialEq)]
pub struct Style {
    pub activation: Activation,
    pub norm: Norm,
    pub dropout: Dropout,
    pub bias: bool,
    pub ordering: Ordering,
}

impl Style {
    /// MONAI's defaults; only that of dropout differs between its classes.
    pub fn new(dropout: Dropout) -> Self {
        Self {
            activation: Activation::DEFAULT,
            norm: Norm::DEFAULT,
            dropout,
            bias: true,
            ordering: Ordering::default(),
        }
    }

    /// Reads `act`, `norm`, `dropout`, `bias` and `adn_ordering`.
    pub(super) fn read(
        table: &mut Table<'_>,
        dropout: Dropout,
        errors: &mut Errors,
    ) -> Option<Self> {
        let plain = Self::new(dropout);
        let activation = table.read("act", plain.activation, |x| Activation::read(x, errors));
        let norm = table.read("norm", plain.norm, |x| Norm::read(x, errors));
        let dropout = table.read("dropout", plain.dropout, |x| Dropout::read(x, errors));
        let bias = table.read("bias", plain.bias, |x| x.bool(errors));
        let ordering = table.read("adn_ordering", plain.ordering, |x| {
            Ordering::read(x, errors)
        });
        Some(Self {
            activation: activation?,
            norm: norm?,
            dropout: dropout?,
            bias: bias?,
            ordering: ordering?,
        })
    }

    pub(super) fn entries(&self, dropout: Dropout) -> [Entry; 5] {
        let plain = Self::new(dropout);
        [
            Entry::new("act", self.activation.to_json(), plain.activation.to_json()),
            Entry::new("norm", self.norm.to_json(), plain.norm.to_json()),
            Entry::new("dropout", self.dropout.to_json(), plain.dropout.to_json()),
            Entry::new("bias", self.bias, plain.bias),
            Entry::new(
                "adn_ordering",
                self.ordering.to_json(),
                plain.ordering.to_json(),
            ),
        ]
    }
}
