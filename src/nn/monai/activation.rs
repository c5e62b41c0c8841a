//! Activations by name, as MONAI's factories make them.
//!
//! Sources: MONAI 1.5, `networks/layers/factories.py`, `networks/layers/utils.py` (`get_act_layer`), and the classes of
//! PyTorch and of MONAI's `networks/blocks/activation.py` that they construct.

use serde_json::{Value, json};

use super::{MAX_CHANNELS, inplace};
use crate::nn::arguments::{Arg, Errors, Layer, Table};

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
impl Activation {
    /// MONAI's default.
    pub const DEFAULT: Self = Self::Prelu { parameters: 1 };

    pub(in crate::nn) fn read(arg: &Arg<'_>, errors: &mut Errors) -> Option<Self> {
        let named = match arg.layer(errors)? {
            Layer::None => return Some(Self::None),
            Layer::Named(named) => named,
        };
        if !ACTIVATIONS.contains(&named.name.as_str()) {
            named.refuse(errors, "activation", &ACTIVATIONS, &OTHER_ACTIVATIONS);
            return None;
        }
        let mut table = named.table();
        let read = Self::of_name(&named.name, &mut table, errors);
        table.finish(errors, |_| None);
        read
    }

    /// `inplace` and PReLU's `init` change no result: the slopes are in the weights.
    fn of_name(name: &str, table: &mut Table<'_>, errors: &mut Errors) -> Option<Self> {
        let mut number = |name, default, table: &mut Table<'_>| {
            table.read(name, default, |x| x.float(errors, "a number", |_| true))
        };
        match name {
            "PRELU" => {
                let init = number("init", 0.25, table);
                let one = |x: &Arg<'_>| x.int(errors, 1..=MAX_CHANNELS);
                let parameters = table.read("num_parameters", 1, one);
                init.and(parameters)
                    .map(|parameters| Self::Prelu { parameters })
            }
            "LEAKYRELU" => {
                let slope = number("negative_slope", 0.01, table);
                inplace(table, errors)
                    .and(slope)
                    .map(|slope| Self::LeakyRelu { slope })
            }
            "ELU" => {
                let alpha = number("alpha", 1.0, table);
                inplace(table, errors)
                    .and(alpha)
                    .map(|alpha| Self::Elu { alpha })
            }
            "SWISH" => number("alpha", 1.0, table).map(|alpha| Self::Swish { alpha }),
            "GELU" => {
                let tanh = table.read("approximate", false, |x| approximation(x, errors))?;
                Some(Self::Gelu { tanh })
            }
            "RELU" => inplace(table, errors).map(|_| Self::Relu),
            "MISH" => inplace(table, errors).map(|_| Self::Mish),
            "TANH" => Some(Self::Tanh),
            "SIGMOID" => Some(Self::Sigmoid),
            _ => None,
        }
    }

    /// As it is written in metadata, in the shortest form.
    pub(in crate::nn) fn to_json(self) -> Value {
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

fn approximation(arg: &Arg<'_>, errors: &mut Errors) -> Option<bool> {
    match arg.value.as_str() {
        Some("none") => Some(false),
        Some("tanh") => Some(true),
        _ => {
            arg.wrong(errors, "\"none\" or \"tanh\"", None);
            None
        }
    }
}
