//! The networks that bundles hold: their arguments, and the tensors that these ask for.
//!
//! A [`Network`] is a network's typed arguments, read from metadata's `model_args` as the network's class would take
//! them. Its layers ([`nafnet::Layers`], [`monai_unet::Layers`], [`flexresnet::Layers`]) are one list that
//! names and shapes of tensors are taken from. [`compare()`] says where a file of weights differs, and why.

mod arguments;
mod build;
mod chains;
mod compare;
mod cost;
mod diagnose;
pub mod flexresnet;
mod fold;
mod fuse;
mod graph;
mod guess;
mod infer;
mod layer;
mod monai;
pub mod monai_unet;
pub mod nafnet;
mod onnx;
mod op;
mod places;
mod program;
mod recognise;
pub mod rfdetr;
mod wording;

pub use arguments::{ArgError, PathPart};
pub use build::{BuildError, StateDict};
pub use compare::{Differences, Found, Misshapen, compare};
pub use fuse::fuse;
pub use graph::{Graph, GraphBuilder, GraphError, Node, ValueId};
pub use guess::{Cause, Change, Guess};
pub use layer::{Conv2d, Expected, Role};
pub use monai::{
    Activation, Block, Convolution, Dropout, Letter, Norm, Ordering, ResidualUnit, Step, Style,
};
pub use onnx::{OnnxError, from_onnx, onnx_input};
pub use op::{Binary, Conv, Function, Op, Shape};
pub use program::{Chain, Program};

use std::fmt;

use serde_json::{Map, Value};

use arguments::Entry;

/// A kind of network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    NafNet,
    MonaiUnet,
    FlexResNet,
    RfDetrBase,
    RfDetrSegmentation,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NafNet => "NAFNet",
            Self::MonaiUnet => "MONAI UNet",
            Self::FlexResNet => "FlexResNet",
            Self::RfDetrBase => "RF-DETR base",
            Self::RfDetrSegmentation => "RF-DETR segmentation",
        })
    }
}

/// A network: its kind and arguments. It is valid: PyTorch makes it and runs it.
#[derive(Clone, Debug, PartialEq)]
pub enum Network {
    NafNet(nafnet::Args),
    MonaiUnet(monai_unet::Args),
    FlexResNet(flexresnet::Args),
    RfDetr(rfdetr::Args),
}

impl Network {
    /// The network that metadata's `model_args` declare. RF-DETR's loader reads none, so they do not count there.
    ///
    /// # Errors
    /// Everything that the network's class would refuse, and what is not supported.
    pub fn from_model_args(kind: Kind, args: &Map<String, Value>) -> Result<Self, Vec<ArgError>> {
        let detector = |variant| {
            let classes = None;
            Ok(Self::RfDetr(rfdetr::Args { variant, classes }))
        };
        match kind {
            Kind::NafNet => nafnet::Args::from_json(args).map(Self::NafNet),
            Kind::MonaiUnet => monai_unet::Args::from_json(args).map(Self::MonaiUnet),
            Kind::FlexResNet => flexresnet::Args::from_json(args).map(Self::FlexResNet),
            Kind::RfDetrBase => detector(rfdetr::Variant::Base),
            Kind::RfDetrSegmentation => detector(rfdetr::Variant::Segmentation),
        }
    }

    pub fn kind(&self) -> Kind {
        match self {
            Self::NafNet(_) => Kind::NafNet,
            Self::MonaiUnet(_) => Kind::MonaiUnet,
            Self::FlexResNet(_) => Kind::FlexResNet,
            Self::RfDetr(args) => match args.variant {
                rfdetr::Variant::Base => Kind::RfDetrBase,
                rfdetr::Variant::Segmentation => Kind::RfDetrSegmentation,
            },
        }
    }

    fn entries(&self) -> Vec<Entry> {
        match self {
            Self::NafNet(args) => args.entries(),
            Self::MonaiUnet(args) => args.entries(),
            Self::FlexResNet(args) => args.entries(),
            Self::RfDetr(_) => Vec::new(),
        }
    }

    /// All arguments in the order of the class's signature, defaults filled in, each in its shortest form.
    pub fn arguments(&self) -> Vec<(String, Value)> {
        let named = |entry: Entry| (entry.name.to_owned(), entry.value);
        self.entries().into_iter().map(named).collect()
    }

    /// The tensors of its state dict, in order. Of RF-DETR, only the one that counts the classes, if they are known.
    pub fn tensors(&self) -> Vec<Expected> {
        match self {
            Self::NafNet(args) => args.layers().tensors(),
            Self::MonaiUnet(args) => args.layers().tensors(),
            Self::FlexResNet(args) => args.layers().tensors(),
            Self::RfDetr(args) => args.tensors(),
        }
    }

    /// How many numbers it has learnt; buffers are not among them. `None` for RF-DETR.
    pub fn parameters(&self) -> Option<u64> {
        if matches!(self, Self::RfDetr(_)) {
            return None;
        }
        let tensors = self.tensors();
        let learnt = tensors.iter().filter(|x| x.role == Role::Parameter);
        Some(learnt.map(Expected::elements).fold(0, u64::saturating_add))
    }

    /// What the side of a square window must be a multiple of, so that the output has the window's size.
    ///
    /// NAFNet takes every size, and pads to a multiple of this by itself. FlexResNet and RF-DETR have no such number.
    pub fn stride(&self) -> u64 {
        match self {
            Self::NafNet(args) => 1 << args.levels(),
            Self::MonaiUnet(args) => {
                let [height, width] = args.multiples();
                least_common_multiple(height, width)
            }
            Self::FlexResNet(_) | Self::RfDetr(_) => 1,
        }
    }

    /// The channels that go in; `None` for RF-DETR.
    pub fn input_channels(&self) -> Option<u64> {
        match self {
            Self::NafNet(args) => Some(args.img_channel()),
            Self::MonaiUnet(args) => Some(args.in_channels()),
            Self::FlexResNet(args) => Some(args.in_channels()),
            Self::RfDetr(_) => None,
        }
    }

    /// The channels of the image that comes out; `None` where none does.
    pub fn output_channels(&self) -> Option<u64> {
        match self {
            Self::NafNet(args) => Some(args.img_channel()),
            Self::MonaiUnet(args) => Some(args.out_channels()),
            Self::FlexResNet(_) | Self::RfDetr(_) => None,
        }
    }

    /// The number of classes, where there are classes and it is known.
    pub fn classes(&self) -> Option<u64> {
        match self {
            Self::FlexResNet(args) => Some(args.num_classes()),
            Self::RfDetr(args) => args.classes,
            Self::NafNet(_) | Self::MonaiUnet(_) => None,
        }
    }

    /// The side that smaller inputs are padded to, where that is an argument.
    pub fn min_size(&self) -> Option<u64> {
        match self {
            Self::FlexResNet(args) => Some(args.min_size()),
            _ => None,
        }
    }
}

/// The kind, with the arguments that are not their defaults: `NAFNet(img_channel=1, width=8)`.
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.entries().into_iter();
        let told: Vec<String> = entries
            .filter(|entry| !entry.is_default())
            .map(|entry| format!("{}={}", entry.name, entry.value))
            .collect();
        write!(f, "{}({})", self.kind(), told.join(", "))
    }
}

fn least_common_multiple(a: u64, b: u64) -> u64 {
    let (mut x, mut y) = (a, b);
    while y != 0 {
        (x, y) = (y, x % y);
    }
    (a / x.max(1)).saturating_mul(b)
}
