//! NAFNet: a U of blocks without activations, whose input is added to its output.
//!
//! Source: "Simple Baselines for Image Restoration" (arXiv 2204.04676) and its authors' released code, which
//! HiTMicTools uses; module names, defaults and the order of tensors are those.

use serde_json::{Map, Value, json};

use super::arguments::{Arg, ArgError, Entry, Errors, Table};
use super::layer::{Conv2d, Expected};
use super::monai::MAX_CHANNELS;

/// The most levels: each doubles the channels.
const MAX_LEVELS: usize = 20;

/// The most blocks at one level.
const MAX_BLOCKS: u64 = 256;

/// The arguments of NAFNet. Only valid ones can be had: see [`Args::from_json`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Args {
    pub(super) img_channel: u64,
    pub(super) width: u64,
    pub(super) middle_blk_num: u64,
    pub(super) enc_blk_nums: Vec<u64>,
    pub(super) dec_blk_nums: Vec<u64>,
}

/// A block: layer norm, 1x1 and depthwise 3x3, gate, channel attention; layer norm, 1x1, gate, 1x1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    pub path: String,
    pub channels: u64,
}

/// A level on the way down: its blocks, then half the size and twice the channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoder {
    pub blocks: Vec<Block>,
    pub down: Conv2d,
}

/// A level on the way up: a 1x1 and a pixel shuffle by 2, the encoder's result added, then its blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoder {
    pub up: Conv2d,
    pub blocks: Vec<Block>,
}

/// The layers of a network, in the order in which they run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layers {
    pub intro: Conv2d,
    pub encoders: Vec<Encoder>,
    pub middle: Vec<Block>,
    /// From the deepest up.
    pub decoders: Vec<Decoder>,
    pub ending: Conv2d,
}

impl Args {
    /// Checks the bounds that hold between the arguments.
    fn new(
        img_channel: u64,
        width: u64,
        middle_blk_num: u64,
        enc_blk_nums: Vec<u64>,
        dec_blk_nums: Vec<u64>,
    ) -> Result<Self, (&'static str, String)> {
        let levels = enc_blk_nums.len();
        let fits = |count: u64| (1..=MAX_CHANNELS).contains(&count);
        if dec_blk_nums.len() != levels {
            let message = format!(
                "expected as many entries as `enc_blk_nums` has ({levels}), found {}: each decoder takes its encoder's result",
                dec_blk_nums.len()
            );
            return Err(("dec_blk_nums", message));
        }
        let blocks = enc_blk_nums.iter().chain(&dec_blk_nums);
        let most = blocks.chain([&middle_blk_num]).max();
        if levels > MAX_LEVELS || most.is_some_and(|most| *most > MAX_BLOCKS) {
            let message =
                format!("expected at most {MAX_LEVELS} levels of at most {MAX_BLOCKS} blocks");
            return Err(("enc_blk_nums", message));
        }
        if !fits(width) || !fits(img_channel) || !fits(width << levels) {
            let message = format!(
                "expected at most {MAX_CHANNELS} channels; {levels} levels make {} of a width of {width}",
                u128::from(width) << levels
            );
            return Err(("width", message));
        }
        Ok(Self {
            img_channel,
            width,
            middle_blk_num,
            enc_blk_nums,
            dec_blk_nums,
        })
    }

    /// Reads metadata's `model_args`.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn from_json(args: &Map<String, Value>) -> Result<Self, Vec<ArgError>> {
        let mut errors = Errors::default();
        let mut table = Table::new("NAFNet".to_owned(), Some(args), Vec::new());
        let channels = table.read("img_channel", 3, |x| x.int(&mut errors, 1..=MAX_CHANNELS));
        let width = table.read("width", 16, |x| x.int(&mut errors, 1..=MAX_CHANNELS));
        let middle = table.read("middle_blk_num", 1, |x| x.int(&mut errors, 0..=MAX_BLOCKS));
        let counts = |x: &Arg<'_>, errors: &mut Errors| x.ints(errors, MAX_LEVELS, 0..=MAX_BLOCKS);
        let down = table.read("enc_blk_nums", Vec::new(), |x| counts(x, &mut errors));
        let up = table.read("dec_blk_nums", Vec::new(), |x| counts(x, &mut errors));
        table.finish(&mut errors, |_| None);
        let read = match (channels, width, middle, down, up) {
            (Some(channels), Some(width), Some(middle), Some(down), Some(up)) => {
                let made = Self::new(channels, width, middle, down, up);
                made.map_err(|(name, message)| errors.about(args, name, &message))
                    .ok()
            }
            _ => None,
        };
        errors.result(read)
    }

    pub fn img_channel(&self) -> u64 {
        self.img_channel
    }

    /// How many times the size is halved.
    pub fn levels(&self) -> u32 {
        // At most MAX_LEVELS.
        self.enc_blk_nums.len() as u32
    }

    pub(super) fn entries(&self) -> Vec<Entry> {
        vec![
            Entry::new("img_channel", self.img_channel, 3),
            Entry::new("width", self.width, 16),
            Entry::new("middle_blk_num", self.middle_blk_num, 1),
            Entry::new("enc_blk_nums", json!(self.enc_blk_nums), json!([])),
            Entry::new("dec_blk_nums", json!(self.dec_blk_nums), json!([])),
        ]
    }

    /// The layers that these arguments make.
    pub fn layers(&self) -> Layers {
        let bottom = self.width << self.enc_blk_nums.len();
        let encoder = |(level, count): (usize, &u64)| {
            let channels = self.width << level;
            let mut down = Conv2d::same(format!("downs.{level}"), channels, 2 * channels, [2, 2]);
            (down.stride, down.padding) = ([2, 2], [0, 0]);
            Encoder {
                blocks: blocks(&format!("encoders.{level}"), *count, channels),
                down,
            }
        };
        let decoder = |(level, count): (usize, &u64)| {
            let channels = bottom >> level;
            let path = format!("ups.{level}.0");
            let mut up = Conv2d::same(path, channels, 2 * channels, [1, 1]);
            up.bias = false;
            Decoder {
                up,
                blocks: blocks(&format!("decoders.{level}"), *count, channels / 2),
            }
        };
        let (image, width) = (self.img_channel, self.width);
        Layers {
            intro: Conv2d::same("intro".to_owned(), image, width, [3, 3]),
            encoders: self.enc_blk_nums.iter().enumerate().map(encoder).collect(),
            middle: blocks("middle_blks", self.middle_blk_num, bottom),
            decoders: self.dec_blk_nums.iter().enumerate().map(decoder).collect(),
            ending: Conv2d::same("ending".to_owned(), width, image, [3, 3]),
        }
    }
}

fn blocks(path: &str, count: u64, channels: u64) -> Vec<Block> {
    let block = |index: u64| Block {
        path: format!("{path}.{index}"),
        channels,
    };
    (0..count).map(block).collect()
}

impl Block {
    /// Its convolutions: 1x1 that doubles, depthwise 3x3, 1x1 after the gate, the attention's, and the last two 1x1.
    pub fn convolutions(&self) -> [Conv2d; 6] {
        let c = self.channels;
        let point = |name: &str, inputs, outputs| {
            Conv2d::same(format!("{}.{name}", self.path), inputs, outputs, [1, 1])
        };
        let mut depthwise = Conv2d::same(format!("{}.conv2", self.path), 2 * c, 2 * c, [3, 3]);
        depthwise.groups = 2 * c;
        [
            point("conv1", c, 2 * c),
            depthwise,
            point("conv3", c, c),
            point("sca.1", c, c),
            point("conv4", c, 2 * c),
            point("conv5", c, c),
        ]
    }

    fn tensors(&self, all: &mut Vec<Expected>) {
        let c = self.channels;
        for name in ["beta", "gamma"] {
            all.push(Expected::parameter(&self.path, name, vec![1, c, 1, 1]));
        }
        for conv in self.convolutions() {
            conv.tensors(all);
        }
        for norm in ["norm1", "norm2"] {
            let path = format!("{}.{norm}", self.path);
            all.push(Expected::parameter(&path, "weight", vec![c]));
            all.push(Expected::parameter(&path, "bias", vec![c]));
        }
    }
}

impl Layers {
    /// In the order of the state dict, which is that of the modules in `NAFNet.__init__`.
    pub(super) fn tensors(&self) -> Vec<Expected> {
        let mut all = Vec::new();
        self.intro.tensors(&mut all);
        self.ending.tensors(&mut all);
        let down = self.encoders.iter().flat_map(|level| &level.blocks);
        let up = self.decoders.iter().flat_map(|level| &level.blocks);
        for block in down.chain(up).chain(&self.middle) {
            block.tensors(&mut all);
        }
        let ups = self.decoders.iter().map(|level| &level.up);
        for conv in ups.chain(self.encoders.iter().map(|level| &level.down)) {
            conv.tensors(&mut all);
        }
        all
    }
}
