//! MONAI's `UNet` in two dimensions.
//!
//! Source: MONAI 1.5, `networks/nets/unet.py`. Each level is `Sequential(down, SkipConnection(next level), up)`, so
//! names nest: `model.0`, `model.1.submodule.0`, `model.1.submodule.1.submodule.0`, ..., and `model.2` for the way up.

use serde_json::{Map, Value, json};

use super::arguments::{Arg, ArgError, Entry, Errors, Table};
use super::layer::Expected;
use super::monai::{Block, Convolution, Dropout, MAX_CHANNELS, Place, ResidualUnit, Style};

/// The most levels, the bottom one among them.
const MAX_LEVELS: usize = 32;

/// The most convolutions of a residual unit.
const MAX_UNITS: u64 = 64;

/// The largest side of a kernel, and the largest stride.
const MAX_KERNEL: u64 = 255;

/// MONAI's default is a dropout of probability 0, which is one, and does nothing.
const DROPOUT: Dropout = Dropout::Plain { p: 0.0 };

/// The arguments of MONAI's UNet. Only valid ones can be had: see [`Args::from_json`].
#[derive(Clone, Debug, PartialEq)]
pub struct Args {
    pub(super) shape: Shape,
    pub(super) style: Style,
}

/// The arguments that say how large each level is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub in_channels: u64,
    pub out_channels: u64,
    /// From the top level to the bottom one.
    pub channels: Vec<u64>,
    /// One less than `channels`; the bottom has none.
    pub strides: Vec<[u64; 2]>,
    pub kernel_size: [u64; 2],
    pub up_kernel_size: [u64; 2],
    pub num_res_units: u64,
}

/// A level: what goes down, and what comes up from the level below with the former beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct Level {
    pub down: Block,
    /// Transposed; its input is the result of `down`, then that of the level below.
    pub up: Convolution,
    /// What follows `up` in networks with residual units.
    pub refine: Option<ResidualUnit>,
    pub stride: [u64; 2],
}

/// The layers of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Layers {
    /// From the top.
    pub levels: Vec<Level>,
    pub bottom: Block,
}

impl Args {
    /// Checks the bounds that hold between the arguments.
    fn new(mut shape: Shape, style: Style) -> Result<Self, (&'static str, String)> {
        let levels = shape.channels.len();
        if !(2..=MAX_LEVELS).contains(&levels) {
            let message = format!("expected 2 to {MAX_LEVELS} entries, found {levels}");
            return Err(("channels", message));
        }
        if shape.strides.len() + 1 < levels {
            let message = format!(
                "expected {} entries, one for each level but the last, found {}",
                levels - 1,
                shape.strides.len()
            );
            return Err(("strides", message));
        }
        // MONAI warns of more, and does not use them.
        shape.strides.truncate(levels - 1);
        let args = Self { shape, style };
        match args.layers().fault() {
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
        let mut table = Table::new("MONAI's UNet".to_owned(), Some(args), Vec::new());
        let dims = table.require("spatial_dims");
        if let Some(dims) = dims {
            two_dimensions(&dims, &mut errors);
        }
        let shape = Shape::read(&mut table, &mut errors);
        let style = Style::read(&mut table, DROPOUT, &mut errors);
        table.finish(&mut errors, |name| match name {
            "dimensions" => Some("MONAI 1.5 has it no more: write `spatial_dims`".to_owned()),
            "instance_norm" | "num_classes" => {
                Some("a name of old MONAI versions: see `norm` and `out_channels`".to_owned())
            }
            _ => None,
        });
        let read = match (shape, style) {
            (Some(shape), Some(style)) => Self::new(shape, style)
                .map_err(|(name, message)| errors.about(args, name, &message))
                .ok(),
            _ => None,
        };
        errors.result(read)
    }

    pub fn in_channels(&self) -> u64 {
        self.shape.in_channels
    }

    pub fn out_channels(&self) -> u64 {
        self.shape.out_channels
    }

    pub(super) fn entries(&self) -> Vec<Entry> {
        let shape = &self.shape;
        let strides: Vec<Value> = shape.strides.iter().copied().map(pair).collect();
        let mut all = vec![
            Entry::required("spatial_dims", 2),
            Entry::required("in_channels", shape.in_channels),
            Entry::required("out_channels", shape.out_channels),
            Entry::required("channels", json!(shape.channels)),
            Entry::required("strides", strides),
            Entry::new("kernel_size", pair(shape.kernel_size), 3),
            Entry::new("up_kernel_size", pair(shape.up_kernel_size), 3),
            Entry::new("num_res_units", shape.num_res_units, 0),
        ];
        all.extend(self.style.entries(DROPOUT));
        all
    }

    /// What a height and a width must be multiples of for the output to have the input's size.
    pub fn multiples(&self) -> [u64; 2] {
        let strides = self.shape.strides.iter();
        strides.fold([1, 1], |[height, width], [down, right]| {
            [height.saturating_mul(*down), width.saturating_mul(*right)]
        })
    }

    /// The height and width that come out for those that go in; `None` where PyTorch fails.
    ///
    /// A convolution of stride s makes ceil(n / s) of n, whatever its kernel, and a transposed one n * s, so below the
    /// top level both sides of a skip connection meet only where s divides n. Norms fail on a single value.
    pub fn output(&self, input: [u64; 2]) -> Option<[u64; 2]> {
        let layers = self.layers();
        let runs = |block: &Block, size| block.convolutions().iter().all(|x| x.runs(size));
        let mut sizes = vec![input];
        for level in &layers.levels {
            let before = *sizes.last()?;
            let [height, width] = before;
            let [down, right] = level.stride;
            let divisible = height % down == 0 && width % right == 0;
            let size = [height.div_ceil(down), width.div_ceil(right)];
            if height == 0 || width == 0 || !runs(&level.down, size) {
                return None;
            }
            if sizes.len() > 1 && !divisible {
                return None;
            }
            sizes.push(size);
        }
        let deepest = sizes.pop()?;
        if !runs(&layers.bottom, deepest) {
            return None;
        }
        let mut size = deepest;
        for level in layers.levels.iter().rev() {
            size = [0, 1].map(|side| size[side].saturating_mul(level.stride[side]));
            let refined = level.refine.iter().flat_map(|unit| &unit.units);
            if !level.up.runs(size) || !refined.into_iter().all(|unit| unit.runs(size)) {
                return None;
            }
        }
        Some(size)
    }

    /// The layers that these arguments make.
    pub fn layers(&self) -> Layers {
        let shape = &self.shape;
        let last = shape.strides.len();
        let mut path = "model".to_owned();
        let mut levels = Vec::with_capacity(last);
        let mut inputs = shape.in_channels;
        // What the level gives to the one above it.
        let mut outputs = shape.out_channels;
        for (index, (channels, stride)) in shape.channels.iter().zip(&shape.strides).enumerate() {
            let below = match shape.channels.get(index + 1) {
                Some(bottom) if index + 1 == last => *bottom,
                _ => *channels,
            };
            let place = Place {
                path: format!("{path}.0"),
                inputs,
                outputs: *channels,
            };
            let down = self.block(place, *stride);
            let place = Place {
                path: format!("{path}.2"),
                inputs: channels + below,
                outputs,
            };
            let (up, refine) = self.up(place, *stride, index == 0);
            levels.push(Level {
                down,
                up,
                refine,
                stride: *stride,
            });
            path.push_str(".1.submodule");
            (inputs, outputs) = (*channels, *channels);
        }
        let place = Place {
            path,
            inputs,
            outputs: shape.channels.last().copied().unwrap_or(inputs),
        };
        Layers {
            levels,
            bottom: self.block(place, [1, 1]),
        }
    }

    /// `UNet._get_down_layer`
    fn block(&self, place: Place, stride: [u64; 2]) -> Block {
        let kernel = self.shape.kernel_size;
        match self.shape.num_res_units {
            0 => Block::Plain(self.style.convolution(place, kernel, stride)),
            count => Block::Residual(self.style.residual_unit(place, kernel, stride, count)),
        }
    }

    /// `UNet._get_up_layer`
    fn up(&self, place: Place, stride: [u64; 2], top: bool) -> (Convolution, Option<ResidualUnit>) {
        let outputs = place.outputs;
        let refined = self.shape.num_res_units > 0;
        let path = place.path.clone();
        let place = match refined {
            true => Place {
                path: format!("{path}.0"),
                ..place
            },
            false => place,
        };
        let mut up = self
            .style
            .convolution(place, self.shape.up_kernel_size, stride);
        up.conv.transposed = true;
        if top && !refined {
            up.bare();
        }
        let refine = refined.then(|| {
            let place = Place {
                path: format!("{path}.1"),
                inputs: outputs,
                outputs,
            };
            let kernel = self.shape.kernel_size;
            let mut unit = self.style.residual_unit(place, kernel, [1, 1], 1);
            if top {
                unit.bare_last();
            }
            unit
        });
        (up, refine)
    }
}

impl Shape {
    fn read(table: &mut Table<'_>, errors: &mut Errors) -> Option<Self> {
        let channels = 1..=MAX_CHANNELS;
        let size = |name, table: &mut Table<'_>, errors: &mut Errors| {
            let arg = table.require(name)?;
            arg.int(errors, channels.clone())
        };
        let in_channels = size("in_channels", table, errors);
        let out_channels = size("out_channels", table, errors);
        let levels = table.require("channels");
        let levels = levels.and_then(|x| x.ints(errors, MAX_LEVELS, 1..=MAX_CHANNELS));
        let strides = table.require("strides").and_then(|x| strides(&x, errors));
        let kernel_size = table.read("kernel_size", [3, 3], |x| odd(x, errors));
        let up_kernel_size = table.read("up_kernel_size", [3, 3], |x| odd(x, errors));
        let num_res_units = table.read("num_res_units", 0, |x| x.int(errors, 0..=MAX_UNITS));
        Some(Self {
            in_channels: in_channels?,
            out_channels: out_channels?,
            channels: levels?,
            strides: strides?,
            kernel_size: kernel_size?,
            up_kernel_size: up_kernel_size?,
            num_res_units: num_res_units?,
        })
    }
}

impl Layers {
    pub(super) fn tensors(&self) -> Vec<Expected> {
        let mut all = Vec::new();
        for level in &self.levels {
            level.down.tensors(&mut all);
        }
        self.bottom.tensors(&mut all);
        for level in self.levels.iter().rev() {
            level.up.tensors(&mut all);
            if let Some(unit) = &level.refine {
                unit.tensors(&mut all);
            }
        }
        all
    }

    /// The first convolution that cannot be followed by what the arguments say, by the argument at fault.
    fn fault(&self) -> Option<(&'static str, String)> {
        let levels = self.levels.iter().flat_map(|level| {
            let refined = level.refine.iter().flat_map(|unit| &unit.units);
            level
                .down
                .convolutions()
                .iter()
                .chain([&level.up])
                .chain(refined)
        });
        levels
            .chain(self.bottom.convolutions())
            .find_map(Convolution::fault)
    }
}

fn two_dimensions(dims: &Arg<'_>, errors: &mut Errors) {
    let Some(found) = dims.int(errors, 1..=3) else {
        return;
    };
    if found != 2 {
        let message = format!("expected 2, found {found}: bundles hold networks for images");
        dims.error(errors, message, None);
    }
}

fn strides(arg: &Arg<'_>, errors: &mut Errors) -> Option<Vec<[u64; 2]>> {
    let items = arg.items(errors, "a list of integers")?;
    if !arg.at_most(errors, items.len(), MAX_LEVELS) {
        return None;
    }
    let read: Vec<Option<[u64; 2]>> = items
        .iter()
        .map(|item| item.pair(errors, 1..=MAX_KERNEL))
        .collect();
    read.into_iter().collect()
}

/// MONAI pads by half a kernel, so its sides are odd (`same_padding`).
fn odd(arg: &Arg<'_>, errors: &mut Errors) -> Option<[u64; 2]> {
    let sides = arg.pair(errors, 1..=MAX_KERNEL)?;
    if let Some(even) = sides.iter().find(|side| **side % 2 == 0) {
        let message = format!("expected odd sides, found {even}: MONAI pads by half a kernel");
        arg.error(errors, message, None);
        return None;
    }
    Some(sides)
}

/// One number where both are the same.
fn pair([height, width]: [u64; 2]) -> Value {
    match height == width {
        true => json!(height),
        false => json!([height, width]),
    }
}
