//! Random cases that executors are compared on, made from a seed: `bundle devices --check` and the tests of both
//! executors run the same ones.
//!
//! Each op has a family, with odd sizes, channels that fill no vector, single pixels, and strides and padding to their
//! extremes; so have blocks, small networks as bundles hold them, random networks, and whole frames. Every kernel of
//! `shaders/` is reached by one of them at least.

mod frames;
mod networks;
mod ops;
mod random;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

pub use frames::{SIDE, convolution, frame};
pub use networks::{block, random_graph};
pub use ops::functions;
pub use random::Random;

use super::{ExecError, Executor, Frame, Session};
use crate::nn::{BuildError, Graph, GraphBuilder, GraphError, Op, Program, Shape, ValueId, fuse};
use crate::progress::Silent;

/// Cases of one kind, told apart by their seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Family {
    Convolution,
    /// 1x1.
    Pointwise,
    Depthwise,
    Transposed,
    /// A convolution whose kernel is the image.
    Linear,
    /// A gate behind a convolution of any kind, with something before it and behind it.
    Gated,
    /// A function of single numbers.
    Function,
    /// Ops that have no family of their own: norms, gates, means, what moves numbers.
    Other,
    /// Instance and group norm.
    Norm,
    /// The mean of an image is far larger than its deviation.
    LargeMean,
    Arithmetic,
    /// NAFNet's.
    Block,
    NafNet,
    Unet,
    FlexResNet,
    /// Random ops, cut into chains.
    Network,
    /// Frames through windows.
    Frame,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::Convolution,
        Self::Pointwise,
        Self::Depthwise,
        Self::Transposed,
        Self::Linear,
        Self::Gated,
        Self::Function,
        Self::Other,
        Self::Norm,
        Self::LargeMean,
        Self::Arithmetic,
        Self::Block,
        Self::NafNet,
        Self::Unet,
        Self::FlexResNet,
        Self::Network,
        Self::Frame,
    ];

    /// Its name in reports, which is also how it is asked for.
    pub fn name(self) -> &'static str {
        match self {
            Self::Convolution => "convolution",
            Self::Pointwise => "pointwise",
            Self::Depthwise => "depthwise",
            Self::Transposed => "transposed",
            Self::Linear => "linear",
            Self::Gated => "gated",
            Self::Function => "function",
            Self::Other => "other",
            Self::Norm => "norm",
            Self::LargeMean => "large-mean",
            Self::Arithmetic => "arithmetic",
            Self::Block => "block",
            Self::NafNet => "nafnet",
            Self::Unet => "unet",
            Self::FlexResNet => "flexresnet",
            Self::Network => "network",
            Self::Frame => "frame",
        }
    }

    /// How many cases are enough to meet all that is known to be hard, from seed 0 on.
    pub fn seeds(self) -> u64 {
        match self {
            Self::Convolution | Self::Transposed => 30,
            Self::Network => 40,
            Self::Pointwise | Self::Depthwise | Self::Gated => 15,
            Self::Linear => 5,
            Self::Function => ops::functions().len() as u64,
            Self::Other => 4 * ops::OTHERS,
            Self::Norm => 8,
            Self::LargeMean => 3,
            Self::Arithmetic => 12,
            Self::Block => networks::BLOCKS.len() as u64,
            Self::NafNet | Self::Unet | Self::FlexResNet => 4,
            Self::Frame => frames::SEEDS,
        }
    }

    /// The case of that seed.
    ///
    /// # Errors
    /// Fails if a case was thought out that is no network: then this program is at fault.
    pub fn case(self, seed: u64) -> Result<Case, CaseError> {
        let mut random = Random(seed);
        let graph = match self {
            Self::Frame => {
                let (graph, frame) = frames::case(&mut random, seed)?;
                return Ok(self.made(seed, graph, Input::Frame(frame)));
            }
            Self::Convolution => ops::convolution(&mut random, seed)?,
            Self::Pointwise => ops::pointwise(&mut random)?,
            Self::Depthwise => ops::depthwise(&mut random)?,
            Self::Transposed => ops::transposed(&mut random)?,
            Self::Linear => ops::linear(&mut random)?,
            Self::Gated => ops::gated(&mut random)?,
            Self::Function => ops::function(seed)?,
            Self::Other => ops::other(&mut random, seed)?,
            Self::Norm => ops::norm(&mut random)?,
            Self::LargeMean => ops::large_mean(&mut random, seed)?,
            Self::Arithmetic => ops::arithmetic(&mut random, seed)?,
            Self::Block => networks::of_block(&mut random, seed)?,
            Self::NafNet => networks::nafnet(&mut random)?,
            Self::Unet => networks::unet(&mut random, seed)?,
            Self::FlexResNet => networks::flexresnet(&mut random, seed)?,
            Self::Network => {
                let steps = random.within(1, 14);
                networks::random_graph(&mut random, steps)?
            }
        };
        let count = random.within(1, 3);
        let elements = graph.input().elements();
        let mut images = random.numbers(elements * count);
        match self {
            Self::Function => images = ops::numbers_of_function(&graph, elements),
            Self::LargeMean => images.iter_mut().for_each(|v| *v = *v * 2.0 + 1e3),
            _ => {}
        }
        Ok(self.made(seed, graph, Input::Images(images)))
    }

    fn made(self, seed: u64, graph: Graph, input: Input) -> Case {
        Case {
            family: self,
            seed,
            graph,
            input,
        }
    }

    /// Whether values between ops may be kept in float16 without more being lost than what is kept so loses. Random
    /// networks have norms of next to nothing, in which every digit is lost.
    pub fn is_fit_for_half(self) -> bool {
        self != Self::Network
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A family, or one case of it: `transposed`, `transposed:7`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    pub family: Family,
    /// The case; all if there is none.
    pub seed: Option<u64>,
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, seed) = match text.split_once(':') {
            None => (text, None),
            Some((name, seed)) => {
                let seed = seed.parse();
                let wrong = |_| format!("expected a case such as transposed:7, found `{text}`");
                (name, Some(seed.map_err(wrong)?))
            }
        };
        let all = Family::ALL.into_iter();
        let family = all.clone().find(|family| family.name() == name);
        let names = || all.map(Family::name).collect::<Vec<_>>().join(", ");
        let family = family.ok_or_else(|| format!("expected one of {}", names()))?;
        Ok(Self { family, seed })
    }
}

/// A network, and what goes into it.
#[derive(Clone, Debug)]
pub struct Case {
    pub family: Family,
    pub seed: u64,
    pub graph: Graph,
    pub input: Input,
}

/// What goes into a case's network.
#[derive(Clone, Debug)]
pub enum Input {
    /// Images, `[count, C, H, W]`.
    Images(Vec<f32>),
    /// A frame, cut into windows.
    Frame(Frame<'static>),
}

/// Why a case cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    #[error(transparent)]
    Graph(#[from] GraphError),
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error("arguments of a network: {0}")]
    Arguments(String),
}

/// What an executor gave for a case, and whether it is the same however often and with whatever else it is computed.
#[derive(Clone, Debug, PartialEq)]
pub struct Given {
    pub numbers: Vec<f32>,
    /// Whether the same work gave the same bits a second time.
    pub is_repeated: bool,
    /// Whether each image, or window, gave the same bits when it was run alone.
    pub is_independent: bool,
}

impl Case {
    /// The network, ready to be loaded.
    pub fn program(&self) -> Arc<Program> {
        Arc::new(fuse(self.graph.clone()))
    }

    /// How many images go in, or windows.
    pub fn images(&self) -> usize {
        match &self.input {
            Input::Images(images) => images.len() / self.graph.input().elements(),
            Input::Frame(frame) => frame.windows.count(),
        }
    }

    /// Runs all that goes in.
    ///
    /// # Errors
    /// Fails if the device does.
    pub fn run(&self, session: &mut dyn Session) -> Result<Vec<f32>, ExecError> {
        match &self.input {
            Input::Images(images) => session.run(images, self.images()),
            Input::Frame(frame) => {
                session.submit(frame.clone(), &Silent)?;
                Ok(session.collect(&Silent)?.unwrap_or_default())
            }
        }
    }

    /// Runs the case on an executor, together, again, and one image at a time. `alone` is the same device, which runs one
    /// window at a time.
    ///
    /// # Errors
    /// Fails if the device does.
    pub fn given(&self, executor: &dyn Executor, alone: &dyn Executor) -> Result<Given, ExecError> {
        let program = self.program();
        let mut session = executor.load(program.clone())?;
        let numbers = self.run(&mut *session)?;
        let again = self.run(&mut *session)?;
        let apart = match &self.input {
            Input::Frame(_) => self.run(&mut *alone.load(program)?)?,
            Input::Images(images) => {
                let mut results = Vec::with_capacity(numbers.len());
                for image in images.chunks(self.graph.input().elements()) {
                    results.extend(session.run(image, 1)?);
                }
                results
            }
        };
        Ok(Given {
            is_repeated: same_bits(&numbers, &again),
            is_independent: same_bits(&numbers, &apart),
            numbers,
        })
    }

    /// What it is: its op or how many there are, the shape that goes in, how many images.
    pub fn described(&self) -> String {
        let ops = match &self.graph.nodes()[1..] {
            [only] => Described(&only.op).to_string(),
            ops => format!("{} ops", ops.len()),
        };
        let images = self.images();
        let unit = match &self.input {
            Input::Images(_) => "image",
            Input::Frame(_) => "window",
        };
        let plural = if images == 1 { "" } else { "s" };
        format!("{ops} of {}, {images} {unit}{plural}", self.graph.input())
    }

    /// How far numbers are from those that are wanted, in parts of the largest of the same image, or of 0.1: inputs are
    /// about one, so results that are much smaller are differences that cancel. What functions of single numbers give is
    /// measured by each number, or by one; moments are measured each. Infinite where one of two is no number, or there are not as many.
    pub fn distance(&self, found: &[f32], wanted: &[f64]) -> f64 {
        if found.len() != wanted.len() || wanted.is_empty() {
            return f64::INFINITY;
        }
        let each = match (&self.input, self.family) {
            (_, Family::Function | Family::LargeMean) => 1,
            (Input::Images(_), _) => self.graph.shape(self.graph.output()).elements(),
            (Input::Frame(_), _) => wanted.len(),
        };
        let least = if self.family == Family::Function {
            1.0
        } else {
            0.1
        };
        let images = found.chunks(each).zip(wanted.chunks(each));
        let apart = images.map(|(found, wanted)| apart(found, wanted, least));
        apart.fold(0.0, f64::max)
    }
}

/// How it is asked for again, and what it is: `transposed:7, transposed 3x5 convolution to ... of [7, 12, 3], 2 images`.
impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}, {}", self.family, self.seed, self.described())
    }
}

/// An op with what its name does not tell.
struct Described<'a>(&'a Op);

impl fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.name())?;
        if let Op::Conv(conv) = self.0 {
            let [down, along] = conv.stride;
            let [[top, bottom], [left, right]] = conv.padding;
            write!(
                f,
                " to {} channels, {} groups, stride {down} x {along}, padding {top} {bottom} {left} {right}",
                conv.outputs, conv.groups
            )?;
        }
        Ok(())
    }
}

fn same_bits(one: &[f32], other: &[f32]) -> bool {
    let bits = |list: &[f32]| list.iter().map(|v| v.to_bits()).collect::<Vec<u32>>();
    bits(one) == bits(other)
}

/// The largest difference, in parts of the largest number that is wanted, at least `least`; infinite if one of two is no
/// number.
pub fn apart(found: &[f32], wanted: &[f64], least: f64) -> f64 {
    let most = wanted.iter().fold(least, |most, v| most.max(v.abs()));
    let pairs = found.iter().zip(wanted);
    let each = pairs.map(|(found, wanted)| (f64::from(*found) - wanted).abs() / most);
    each.fold(0.0, |most, v| match v.is_nan() {
        true => f64::INFINITY,
        false => most.max(v),
    })
}

/// A network of what `build` adds to its input.
///
/// # Errors
/// Fails if what is added does not fit.
pub fn network(
    input: Shape,
    build: impl FnOnce(&mut GraphBuilder, ValueId) -> Result<ValueId, GraphError>,
) -> Result<Graph, GraphError> {
    let (mut builder, value) = GraphBuilder::new(input)?;
    let output = build(&mut builder, value)?;
    Ok(builder.finish(output))
}

/// A network of one op.
///
/// # Errors
/// Fails if the op does not fit the shape.
pub fn single(input: Shape, op: Op) -> Result<Graph, GraphError> {
    network(input, |builder, value| builder.push(op, &[value]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_is_made_and_tells_how_to_repeat_it() {
        for family in Family::ALL {
            for seed in 0..family.seeds() {
                let case = family.case(seed).unwrap();
                let text = case.to_string();
                let name = text.split(',').next().unwrap();
                let choice: Choice = name.parse().unwrap();
                assert_eq!((choice.family, choice.seed), (family, Some(seed)));
                assert!(case.images() > 0, "{text}");
            }
        }
        assert!("transposed:many".parse::<Choice>().is_err());
        let error = "attention".parse::<Choice>().unwrap_err();
        assert!(error.contains("transposed, linear"), "{error}");
    }

    #[test]
    fn what_is_hard_is_among_the_cases() {
        let cases =
            |family: Family| (0..family.seeds()).map(move |seed| family.case(seed).unwrap());
        let shapes: Vec<Shape> = Family::ALL
            .into_iter()
            .flat_map(cases)
            .map(|c| c.graph.input())
            .collect();
        assert!(shapes.iter().any(|shape| shape.pixels() == 1));
        assert!(shapes.iter().any(|shape| shape.channels % 4 == 3));
        assert!(cases(Family::Convolution).any(|case| case.images() > 1));
        let convs = || {
            cases(Family::Convolution).filter_map(|case| match &case.graph.nodes()[1].op {
                Op::Conv(conv) => Some(conv.clone()),
                _ => None,
            })
        };
        assert!(convs().any(|conv| conv.stride[0] > conv.kernel[0]));
        assert!(convs().any(|conv| conv.padding[0][0] >= conv.kernel[0] as isize));
        assert!(convs().any(|conv| conv.padding[0][1] < 0));
        assert!(convs().any(|conv| conv.groups == 3));
    }

    #[test]
    fn what_is_no_number_is_infinitely_far() {
        assert_eq!(apart(&[1.0, -4.5], &[1.0, -4.0], 0.1), 0.125);
        assert_eq!(apart(&[f32::NAN, 1.0], &[1.0, 1.0], 0.1), f64::INFINITY);
        let case = Family::Linear.case(0).unwrap();
        assert_eq!(case.distance(&[], &[]), f64::INFINITY);
    }
}
