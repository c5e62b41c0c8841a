//! A network as a list of ops, each applied to results of earlier ones: shapes are checked when it is made.

use super::op::{Binary, Conv, Function, Op, Shape};

/// The largest side, number of channels, or groups of anything: sizes cannot overflow.
const MOST: usize = 1 << 20;

/// The most nodes: hundreds of times as many as networks have. What looks at pairs of them stays quick.
const MOST_NODES: usize = 1 << 15;

/// The most elements of one value for one image.
const MOST_ELEMENTS: usize = 1 << 32;

/// A value of a graph: the result of the node of that number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueId(usize);

impl ValueId {
    /// The position of its node in [`Graph::nodes`].
    pub fn index(self) -> usize {
        self.0
    }
}

/// An op applied to values.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub op: Op,
    /// Results of earlier nodes.
    pub inputs: Vec<ValueId>,
    /// Of the result.
    pub shape: Shape,
}

/// A network for inputs of one shape. Every op fits its inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    nodes: Vec<Node>,
    output: ValueId,
}

/// An op that does not fit its inputs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{op}: expected {expected}, found {found}")]
pub struct GraphError {
    pub op: String,
    pub expected: String,
    pub found: String,
}

/// A graph that grows, from its input on.
#[derive(Clone, Debug)]
pub struct GraphBuilder {
    nodes: Vec<Node>,
}

impl GraphBuilder {
    /// A graph with an input of this shape, and the input.
    ///
    /// # Errors
    /// Fails if the shape is empty or beyond any use.
    pub fn new(input: Shape) -> Result<(Self, ValueId), GraphError> {
        check_size(&Op::Input, input)?;
        let node = Node {
            op: Op::Input,
            inputs: Vec::new(),
            shape: input,
        };
        Ok((Self { nodes: vec![node] }, ValueId(0)))
    }

    /// A graph with the input of another, and the input.
    pub(super) fn of(input: &Node) -> (Self, ValueId) {
        let nodes = vec![input.clone()];
        (Self { nodes }, ValueId(0))
    }

    /// The shape of a value.
    pub fn shape(&self, value: ValueId) -> Shape {
        self.nodes[value.0].shape
    }

    /// The node whose result a value is.
    pub fn node(&self, value: ValueId) -> &Node {
        &self.nodes[value.0]
    }

    /// Adds a node that is known to fit its inputs.
    pub(super) fn push_checked(&mut self, node: Node) -> ValueId {
        self.nodes.push(node);
        ValueId(self.nodes.len() - 1)
    }

    /// Applies an op to values of this graph.
    ///
    /// # Errors
    /// Fails if it does not fit them, or there are more nodes than a network has.
    pub fn push(&mut self, op: Op, inputs: &[ValueId]) -> Result<ValueId, GraphError> {
        let shapes: Vec<Shape> = inputs.iter().map(|input| self.shape(*input)).collect();
        let shape = result(&op, &shapes)?;
        check_size(&op, shape)?;
        if self.nodes.len() >= MOST_NODES {
            let expected = format!("a network of at most {MOST_NODES} ops");
            return Err(error(&op, expected, "more"));
        }
        self.nodes.push(Node {
            op,
            inputs: inputs.to_vec(),
            shape,
        });
        Ok(ValueId(self.nodes.len() - 1))
    }

    /// The graph that gives this value. Nodes that it does not depend on are left out.
    pub fn finish(self, output: ValueId) -> Graph {
        let mut needed = vec![false; self.nodes.len()];
        needed[0] = true;
        needed[output.0] = true;
        for index in (0..self.nodes.len()).rev() {
            if needed[index] {
                for input in &self.nodes[index].inputs {
                    needed[input.0] = true;
                }
            }
        }
        let mut moved = vec![ValueId(0); self.nodes.len()];
        let mut nodes = Vec::with_capacity(self.nodes.len());
        for (index, mut node) in self.nodes.into_iter().enumerate() {
            if needed[index] {
                for input in &mut node.inputs {
                    *input = moved[input.0];
                }
                moved[index] = ValueId(nodes.len());
                nodes.push(node);
            }
        }
        Graph {
            nodes,
            output: moved[output.0],
        }
    }
}

impl Graph {
    /// In an order in which they can run; the first is the input.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node whose result a value is.
    pub fn node(&self, value: ValueId) -> &Node {
        &self.nodes[value.0]
    }

    /// The value of the node at a position.
    pub(super) fn value(&self, index: usize) -> ValueId {
        ValueId(index)
    }

    /// How often each value is read.
    pub(super) fn uses(&self) -> Vec<usize> {
        let mut uses = vec![0; self.nodes.len()];
        for input in self.nodes.iter().flat_map(|node| &node.inputs) {
            uses[input.0] += 1;
        }
        uses
    }

    /// Exchanges the two inputs of a sum or product of values of one shape.
    pub(super) fn exchange_inputs(&mut self, value: ValueId) {
        self.nodes[value.0].inputs.reverse();
    }

    /// The value that goes in.
    pub fn input_value(&self) -> ValueId {
        ValueId(0)
    }

    /// All values with their nodes, in order.
    pub fn values(&self) -> impl Iterator<Item = (ValueId, &Node)> {
        let nodes = self.nodes.iter().enumerate();
        nodes.map(|(index, node)| (ValueId(index), node))
    }

    /// The shape that goes in.
    pub fn input(&self) -> Shape {
        self.nodes[0].shape
    }

    /// The value that comes out.
    pub fn output(&self) -> ValueId {
        self.output
    }

    /// The shape of a value.
    pub fn shape(&self, value: ValueId) -> Shape {
        self.nodes[value.0].shape
    }
}

fn error(op: &Op, expected: impl Into<String>, found: impl Into<String>) -> GraphError {
    GraphError {
        op: op.name(),
        expected: expected.into(),
        found: found.into(),
    }
}

fn check_size(op: &Op, shape: Shape) -> Result<(), GraphError> {
    let sides = [shape.channels, shape.height, shape.width];
    let fits = sides.iter().all(|side| (1..=MOST).contains(side));
    // Each side has at most 20 bits.
    let elements = sides.iter().map(|side| *side as u128).product::<u128>();
    if fits && elements <= MOST_ELEMENTS as u128 {
        return Ok(());
    }
    let expected = "a result that is not empty and has at most 2^32 numbers";
    Err(error(op, expected, shape.to_string()))
}

/// The shape of an op's result.
fn result(op: &Op, inputs: &[Shape]) -> Result<Shape, GraphError> {
    let count = match op {
        Op::Input => 0,
        Op::Normalise { .. } | Op::Binary(_) => 2,
        Op::Concat => inputs.len().max(1),
        _ => 1,
    };
    let (Some(input), true) = (inputs.first().copied(), inputs.len() == count) else {
        let found = format!("{} inputs", inputs.len());
        return Err(error(op, format!("{count} inputs"), found));
    };
    let per_channel = |what: &str, count: usize, list: &[f32]| match list.len() == count {
        true => Ok(()),
        false => Err(error(
            op,
            format!("{count} numbers for {what}"),
            list.len().to_string(),
        )),
    };
    Ok(match op {
        Op::Input => return Err(error(op, "no second input", "one")),
        Op::Conv(conv) => convolved(op, conv, input)?,
        Op::LayerNorm { weight, bias, .. } => {
            per_channel("weight", input.channels, weight)?;
            per_channel("bias", input.channels, bias)?;
            input
        }
        Op::Moments { groups, .. } => {
            if *groups == 0 || !input.channels.is_multiple_of(*groups) {
                let expected = format!("groups that divide {} channels", input.channels);
                return Err(error(op, expected, groups.to_string()));
            }
            Shape::vector(2 * groups)
        }
        Op::Normalise { weight, bias } => {
            for (what, list) in [("weight", weight), ("bias", bias)] {
                if let Some(list) = list {
                    per_channel(what, input.channels, list)?;
                }
            }
            let moments = inputs[1];
            let groups = moments.channels / 2;
            let fits = moments.pixels() == 1
                && moments.channels.is_multiple_of(2)
                && groups > 0
                && input.channels.is_multiple_of(groups);
            if !fits {
                let expected = format!("moments of {} channels", input.channels);
                return Err(error(op, expected, moments.to_string()));
            }
            input
        }
        Op::Affine { scale, shift } => {
            per_channel("scale", input.channels, scale)?;
            per_channel("shift", input.channels, shift)?;
            input
        }
        Op::Apply(Function::Prelu { slopes }) if slopes.len() != 1 => {
            per_channel("slopes", input.channels, slopes)?;
            input
        }
        Op::Apply(_) | Op::Softmax => input,
        Op::Gate if input.channels.is_multiple_of(2) => input.with_channels(input.channels / 2),
        Op::Gate => return Err(error(op, "an even number of channels", input.to_string())),
        Op::Mean => Shape::vector(input.channels),
        Op::ChannelMean => input.with_channels(1),
        Op::Binary(binary) => binary_shape(op, *binary, input, inputs[1])?,
        Op::Concat => concatenated(op, inputs)?,
        Op::Channels { start, channels } => match start.checked_add(*channels) {
            Some(end) if end <= input.channels => input.with_channels(*channels),
            _ => {
                let expected = format!("channels below {}", input.channels);
                return Err(error(op, expected, format!("{channels} from {start} on")));
            }
        },
        Op::PixelShuffle { factor } => {
            let square = factor.saturating_mul(*factor);
            if square == 0 || !input.channels.is_multiple_of(square) {
                let expected = format!("channels divisible by {square}");
                return Err(error(op, expected, input.to_string()));
            }
            Shape::new(
                input.channels / square,
                input.height.saturating_mul(*factor),
                input.width.saturating_mul(*factor),
            )
        }
        Op::Pad { bottom, right } => Shape::new(
            input.channels,
            input.height.saturating_add(*bottom),
            input.width.saturating_add(*right),
        ),
        Op::Crop { height, width } => {
            if *height > input.height || *width > input.width {
                let expected = format!("at most {} rows and {} columns", input.height, input.width);
                return Err(error(op, expected, format!("{height} and {width}")));
            }
            Shape::new(input.channels, *height, *width)
        }
    })
}

fn convolved(op: &Op, conv: &Conv, input: Shape) -> Result<Shape, GraphError> {
    let positive = |what: &str, number: usize| match (1..=MOST).contains(&number) {
        true => Ok(()),
        false => Err(error(
            op,
            format!("{what} of 1 to {MOST}"),
            number.to_string(),
        )),
    };
    positive("groups", conv.groups)?;
    positive("a number of outputs", conv.outputs)?;
    for (kernel, stride) in conv.kernel.into_iter().zip(conv.stride) {
        positive("a kernel", kernel)?;
        positive("a stride", stride)?;
    }
    let in_groups =
        input.channels.is_multiple_of(conv.groups) && conv.outputs.is_multiple_of(conv.groups);
    if !in_groups || (conv.transposed && conv.groups != 1) {
        let expected = "groups that divide its inputs and outputs, and one if it is transposed";
        let found = format!(
            "{} groups, {} inputs, {} outputs",
            conv.groups, input.channels, conv.outputs
        );
        return Err(error(op, expected, found));
    }
    let [rows, columns] = conv.kernel;
    let weights = [rows, columns, input.channels / conv.groups, conv.outputs];
    let expected = weights.iter().map(|side| *side as u128).product::<u128>();
    if conv.weight.len() as u128 != expected {
        let found = conv.weight.len().to_string();
        return Err(error(op, format!("{expected} weights {weights:?}"), found));
    }
    if conv
        .bias
        .as_ref()
        .is_some_and(|bias| bias.len() != conv.outputs)
    {
        let found = conv.bias.as_ref().map_or(0, |bias| bias.len()).to_string();
        return Err(error(
            op,
            format!("{} numbers for bias", conv.outputs),
            found,
        ));
    }
    let side = |axis: usize, size: usize| -> Option<usize> {
        let [before, after] = conv.padding[axis];
        let (kernel, stride) = (conv.kernel[axis] as isize, conv.stride[axis] as isize);
        let size = size as isize;
        let made = match conv.transposed {
            true => ((size - 1) * stride + kernel).checked_sub(before.checked_add(after)?)?,
            false => {
                let padded = size.checked_add(before)?.checked_add(after)?;
                let room = padded - kernel;
                if room < 0 {
                    return None;
                }
                room / stride + 1
            }
        };
        usize::try_from(made).ok().filter(|made| *made > 0)
    };
    match (side(0, input.height), side(1, input.width)) {
        (Some(height), Some(width)) => Ok(Shape::new(conv.outputs, height, width)),
        _ => Err(error(
            op,
            "an input that its kernel fits into",
            input.to_string(),
        )),
    }
}

fn binary_shape(op: &Op, _: Binary, a: Shape, b: Shape) -> Result<Shape, GraphError> {
    let vector = b == Shape::vector(a.channels);
    let plane = b == a.with_channels(1);
    match a == b || vector || plane {
        true => Ok(a),
        false => {
            let expected = format!("a second input that fits {a}");
            Err(error(op, expected, b.to_string()))
        }
    }
}

fn concatenated(op: &Op, inputs: &[Shape]) -> Result<Shape, GraphError> {
    let first = inputs[0];
    let mut channels = 0;
    for shape in inputs {
        if (shape.height, shape.width) != (first.height, first.width) {
            let expected = format!("images of {} x {}", first.height, first.width);
            return Err(error(op, expected, shape.to_string()));
        }
        channels += shape.channels;
    }
    Ok(first.with_channels(channels))
}
