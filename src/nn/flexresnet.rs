//! FlexResNet: HiTMicTools' classifier of single cells. Residual units, a pool or none, and one linear layer.
//!
//! Source: HiTMicTools, `model_arch/flexresnet.py`. What it does not know it hands to MONAI's `ResidualUnit`.

use serde_json::{Map, Value};

use super::arguments::{Arg, ArgError, Entry, Errors, Table};
use super::layer::Expected;
use super::monai::{Convolution, Dropout, MAX_CHANNELS, Place, ResidualUnit, Style};

/// The most units: each doubles the channels.
const MAX_BLOCKS: u64 = 20;

/// The most classes.
const MAX_CLASSES: u64 = 1 << 16;

/// The largest side of an input that is not pooled.
const MAX_SIDE: u64 = 1 << 12;

const KERNEL: [u64; 2] = [3, 3];

/// The arguments of FlexResNet. Only valid ones can be had: see [`Args::from_json`].
#[derive(Clone, Debug, PartialEq)]
pub struct Args {
    pub(super) shape: Shape,
    pub(super) style: Style,
    /// MONAI's argument of that name.
    pub(super) last_conv_only: bool,
}

/// FlexResNet's own arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub num_classes: u64,
    pub in_channels: u64,
    pub min_size: u64,
    pub initial_filters: u64,
    pub num_blocks: u64,
    pub use_global_pool: bool,
}

/// The layers of a network, in the order in which they run.
#[derive(Clone, Debug, PartialEq)]
pub struct Layers {
    pub units: Vec<ResidualUnit>,
    /// Whether the mean over each channel is taken; if not, all pixels go on.
    pub pooled: bool,
    /// The linear layer's inputs and outputs; its tensors are `classifier.0.weight` and `.bias`.
    pub features: u64,
    pub classes: u64,
}

impl Args {
    /// Checks the bounds that hold between the arguments.
    fn new(
        shape: Shape,
        style: Style,
        last_conv_only: bool,
    ) -> Result<Self, (&'static str, String)> {
        let widest =
            u128::from(shape.initial_filters) << shape.num_blocks.saturating_sub(1).min(64);
        if widest > u128::from(MAX_CHANNELS) {
            let message = format!(
                "expected at most {MAX_CHANNELS} channels; {} blocks make {widest}",
                shape.num_blocks
            );
            return Err(("initial_filters", message));
        }
        let args = Self {
            shape,
            style,
            last_conv_only,
        };
        let layers = args.layers();
        let mut convolutions = layers.units.iter().flat_map(|unit| &unit.units);
        match convolutions.find_map(Convolution::fault) {
            Some(fault) => Err(fault),
            None => Ok(args),
        }
    }

    /// Reads metadata's `model_args`.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn from_json(args: &Map<String, Value>) -> Result<Self, Vec<ArgError>> {
        let mut errors = Errors::default();
        let mut table = Table::new("FlexResNet".to_owned(), Some(args), Vec::new());
        let shape = Shape::read(&mut table, &mut errors);
        let style = Style::read(&mut table, Dropout::None, &mut errors);
        let last = table.read("last_conv_only", false, |x| x.bool(&mut errors));
        only(&mut table, "dropout_dim", &[1, 2, 3], &mut errors);
        only(&mut table, "dilation", &[1], &mut errors);
        only(&mut table, "padding", &[0, 1], &mut errors);
        table.finish(&mut errors, |name| match name {
            "spatial_dims" | "kernel_size" | "strides" | "subunits" | "out_channels" => {
                Some("FlexResNet sets it itself: remove it".to_owned())
            }
            _ => None,
        });
        let read = match (shape, style, last) {
            (Some(shape), Some(style), Some(last)) => Self::new(shape, style, last)
                .map_err(|(name, message)| errors.about(args, name, &message))
                .ok(),
            _ => None,
        };
        errors.result(read)
    }

    pub fn num_classes(&self) -> u64 {
        self.shape.num_classes
    }

    pub fn in_channels(&self) -> u64 {
        self.shape.in_channels
    }

    /// Smaller inputs are padded with zeros to this side.
    pub fn min_size(&self) -> u64 {
        self.shape.min_size
    }

    /// Whether the linear layer depends on the size of its input.
    pub fn pooled(&self) -> bool {
        self.shape.use_global_pool
    }

    /// The same network for inputs of another side. HiTMicTools cuts cells to the config's `min_size`, so where that is
    /// larger than the metadata's, a network without a pool sees that side.
    pub fn with_min_size(mut self, side: u64) -> Self {
        self.shape.min_size = side.clamp(1, MAX_SIDE);
        self
    }

    pub(super) fn entries(&self) -> Vec<Entry> {
        let shape = &self.shape;
        let mut all = vec![
            Entry::required("num_classes", shape.num_classes),
            Entry::new("in_channels", shape.in_channels, 1),
            Entry::new("min_size", shape.min_size, 32),
            Entry::new("initial_filters", shape.initial_filters, 64),
            Entry::new("num_blocks", shape.num_blocks, 2),
            Entry::new("use_global_pool", shape.use_global_pool, true),
        ];
        all.extend(self.style.entries(Dropout::None));
        all.push(Entry::new("last_conv_only", self.last_conv_only, false));
        all
    }

    /// The layers that these arguments make.
    pub fn layers(&self) -> Layers {
        let shape = &self.shape;
        let mut inputs = shape.in_channels;
        let unit = |index: u64| {
            let place = Place {
                path: format!("features.{index}"),
                inputs,
                outputs: shape.initial_filters << index,
            };
            inputs = place.outputs;
            let (stride, count) = if index == 0 { ([2, 2], 2) } else { ([1, 1], 3) };
            let mut unit = self.style.residual_unit(place, KERNEL, stride, count);
            if self.last_conv_only {
                unit.bare_last();
            }
            unit
        };
        let units = (0..shape.num_blocks).map(unit).collect();
        let pixels = match shape.use_global_pool {
            true => 1,
            false => shape.min_size.div_ceil(2).pow(2),
        };
        Layers {
            units,
            pooled: shape.use_global_pool,
            features: inputs * pixels,
            classes: shape.num_classes,
        }
    }
}

impl Shape {
    fn read(table: &mut Table<'_>, errors: &mut Errors) -> Option<Self> {
        let channels = 1..=MAX_CHANNELS;
        let classes = table.require("num_classes");
        let num_classes = classes.and_then(|x| x.int(errors, 1..=MAX_CLASSES));
        let in_channels = table.read("in_channels", 1, |x| x.int(errors, channels.clone()));
        let min_size = table.read("min_size", 32, |x| x.int(errors, 1..=MAX_SIDE));
        let initial_filters = table.read("initial_filters", 64, |x| x.int(errors, channels));
        let num_blocks = table.read("num_blocks", 2, |x| x.int(errors, 1..=MAX_BLOCKS));
        let use_global_pool = table.read("use_global_pool", true, |x| x.bool(errors));
        Some(Self {
            num_classes: num_classes?,
            in_channels: in_channels?,
            min_size: min_size?,
            initial_filters: initial_filters?,
            num_blocks: num_blocks?,
            use_global_pool: use_global_pool?,
        })
    }
}

/// An argument that changes nothing at these values, and at others makes a network that fails: the residual
/// convolution of the first unit has no dilation, and sizes would no longer match.
fn only(table: &mut Table<'_>, name: &'static str, values: &[u64], errors: &mut Errors) {
    let Some(arg) = table.get(name) else {
        return;
    };
    if !works(&arg, name, values) {
        let values: Vec<String> = values.iter().map(u64::to_string).collect();
        arg.wrong(
            errors,
            &values.join(" or "),
            Some("leave it out".to_owned()),
        );
    }
}

fn works(arg: &Arg<'_>, name: &str, values: &[u64]) -> bool {
    match arg.value {
        Value::Null => name != "dilation",
        value => value.as_u64().is_some_and(|found| values.contains(&found)),
    }
}

impl Layers {
    pub(super) fn tensors(&self) -> Vec<Expected> {
        let mut all = Vec::new();
        for unit in &self.units {
            unit.tensors(&mut all);
        }
        let path = "classifier.0";
        let weight = vec![self.classes, self.features];
        all.push(Expected::parameter(path, "weight", weight));
        all.push(Expected::parameter(path, "bias", vec![self.classes]));
        all
    }
}
