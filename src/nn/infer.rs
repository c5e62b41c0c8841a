//! The arguments that a file's tensors were made with, read off their names and shapes.
//!
//! What tensors do not show (strides of plain convolutions, activations without weights, eps) is taken from the
//! declared arguments where they are of the same kind, else from the defaults.

use super::arguments::Entry;
use super::compare::Names;
use super::monai::{Activation, Dropout, Norm, Ordering, Style};
use super::{Kind, Network, flexresnet, monai_unet, nafnet};

/// Where counting stops: no network has more.
const MOST: usize = 300;

/// The network of this kind that the tensors look like.
///
/// Sizes come from a file, so the arguments are read back as metadata's are, with all their bounds.
pub(super) fn infer(kind: Kind, names: &Names<'_>, declared: &Network) -> Option<Network> {
    let read = match (kind, declared) {
        (Kind::NafNet, _) => nafnet(names)?.entries(),
        (Kind::MonaiUnet, Network::MonaiUnet(args)) => monai_unet(names, Some(args))?.entries(),
        (Kind::MonaiUnet, _) => monai_unet(names, None)?.entries(),
        (Kind::FlexResNet, Network::FlexResNet(args)) => flexresnet(names, Some(args))?.entries(),
        (Kind::FlexResNet, _) => flexresnet(names, None)?.entries(),
        (Kind::RfDetrBase | Kind::RfDetrSegmentation, _) => return None,
    };
    let named = |entry: Entry| (entry.name.to_owned(), entry.value);
    let args = read.into_iter().map(named).collect();
    Network::from_model_args(kind, &args).ok()
}

/// How many of `path(0)`, `path(1)`, ... there are.
fn count(names: &Names<'_>, path: impl Fn(usize) -> String) -> usize {
    (0..MOST)
        .find(|index| !names.under(&path(*index)))
        .unwrap_or(MOST)
}

/// The shape of a convolution's weight.
fn conv(names: &Names<'_>, path: &str) -> Option<[u64; 4]> {
    names.shape(&format!("{path}.weight"))?.try_into().ok()
}

fn nafnet(names: &Names<'_>) -> Option<nafnet::Args> {
    let [width, image, _, _] = conv(names, "intro")?;
    let levels = |module: &str, count_of: &str| -> Vec<u64> {
        let levels = count(names, |level| format!("{module}.{level}"));
        let blocks = |level| count(names, |block| format!("{count_of}.{level}.{block}")) as u64;
        (0..levels).map(blocks).collect()
    };
    let encoders = levels("downs", "encoders");
    let decoders = levels("ups", "decoders");
    Some(nafnet::Args {
        img_channel: image,
        width,
        middle_blk_num: count(names, |block| format!("middle_blks.{block}")) as u64,
        enc_blk_nums: encoders,
        dec_blk_nums: decoders,
    })
}

fn monai_unet(names: &Names<'_>, declared: Option<&monai_unet::Args>) -> Option<monai_unet::Args> {
    let units = count(names, |unit| format!("model.0.conv.unit{unit}"));
    let first = |block: &str| match units {
        0 => block.to_owned(),
        _ => format!("{block}.conv.unit0"),
    };
    let [_, in_channels, height, width] = conv(names, &format!("{}.conv", first("model.0")))?;
    let kernel_size = [height, width];
    let mut channels = Vec::new();
    let mut strides = Vec::new();
    let mut path = "model".to_owned();
    while channels.len() < MOST {
        let below = format!("{path}.1.submodule");
        let nested = names.under(&below);
        let block = if nested { format!("{path}.0") } else { path };
        let [outputs, ..] = conv(names, &format!("{}.conv", first(&block)))?;
        channels.push(outputs);
        if !nested {
            break;
        }
        let residual = conv(names, &format!("{block}.residual"));
        strides.push(Stride::of(units, kernel_size, residual));
        path = below;
    }
    let up = match units {
        0 => "model.2.conv",
        _ => "model.2.0.conv",
    };
    let [_, out_channels, height, width] = conv(names, up)?;
    let known = declared.map(|args| args.shape.strides.as_slice());
    let known = known.filter(|known| known.len() == strides.len());
    let guessed = strides.iter().enumerate();
    let shape = monai_unet::Shape {
        in_channels,
        out_channels,
        channels,
        strides: guessed
            .map(|(level, stride)| stride.like(known.map(|known| known[level])))
            .collect(),
        kernel_size,
        up_kernel_size: [height, width],
        num_res_units: units as u64,
    };
    let plain = Style::new(Dropout::Plain { p: 0.0 });
    let style = declared.map_or(plain, |args| args.style.clone());
    let style = style_of(names, &first("model.0"), style);
    Some(monai_unet::Args { shape, style })
}

/// What a residual convolution tells of its unit's stride.
#[derive(Clone, Copy)]
enum Stride {
    One,
    More,
    Unknown,
}

impl Stride {
    fn of(units: usize, kernel: [u64; 2], residual: Option<[u64; 4]>) -> Self {
        match residual {
            _ if units == 0 => Self::Unknown,
            None => Self::One,
            Some(_) if kernel == [1, 1] => Self::Unknown,
            Some([_, _, 1, 1]) => Self::One,
            Some(_) => Self::More,
        }
    }

    fn like(self, declared: Option<[u64; 2]>) -> [u64; 2] {
        match (self, declared) {
            (Self::One, _) => [1, 1],
            (Self::More, Some(stride)) if stride != [1, 1] => stride,
            (Self::Unknown, Some(stride)) => stride,
            _ => [2, 2],
        }
    }
}

/// The style that the convolution at `path` shows, `like` where it shows nothing.
fn style_of(names: &Names<'_>, path: &str, like: Style) -> Style {
    let has = |name: &str| names.shape(&format!("{path}.{name}"));
    let mut style = like;
    style.bias = has("conv.bias").is_some();
    style.activation = match (has("adn.A.weight"), style.activation) {
        (Some(&[parameters]), _) => Activation::Prelu { parameters },
        (_, Activation::Prelu { .. }) => Activation::Relu,
        (_, other) => other,
    };
    let affine = has("adn.N.weight").is_some();
    let tracked = has("adn.N.running_mean").is_some();
    if (style.norm.affine(), style.norm.tracked()) != (affine, tracked) {
        let eps = 1e-5;
        style.norm = match tracked {
            true => Norm::Batch {
                eps,
                affine,
                tracked,
            },
            false => Norm::Instance {
                eps,
                affine,
                tracked,
            },
        };
        style.ordering = Ordering::default();
    }
    style
}

fn flexresnet(names: &Names<'_>, declared: Option<&flexresnet::Args>) -> Option<flexresnet::Args> {
    let first = "features.0.conv.unit0";
    let [filters, in_channels, _, _] = conv(names, &format!("{first}.conv"))?;
    let blocks = count(names, |block| format!("features.{block}.conv.unit0"));
    let [classes, features] = *names.shape("classifier.0.weight")? else {
        return None;
    };
    let channels = filters.checked_shl(blocks.saturating_sub(1).try_into().ok()?)?;
    let min_size = declared.map_or(32, flexresnet::Args::min_size);
    let pooled = features == channels && declared.is_none_or(flexresnet::Args::pooled);
    let side = match channels {
        0 => return None,
        _ => (features / channels).isqrt(),
    };
    let shape = flexresnet::Shape {
        num_classes: classes,
        in_channels,
        min_size: match pooled || min_size.div_ceil(2) == side {
            true => min_size,
            false => side.saturating_mul(2),
        },
        initial_filters: filters,
        num_blocks: blocks as u64,
        use_global_pool: pooled,
    };
    let plain = Style::new(Dropout::None);
    let style = declared.map_or(plain, |args| args.style.clone());
    let style = style_of(names, first, style);
    let visible = names.under(&format!("{first}.adn"));
    let last_conv_only = match visible {
        true => !names.under("features.0.conv.unit1.adn"),
        false => declared.is_some_and(|args| args.last_conv_only),
    };
    Some(flexresnet::Args {
        shape,
        style,
        last_conv_only,
    })
}
