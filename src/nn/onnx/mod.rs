//! ONNX models as graphs: what PyTorch's exporters make of networks, operator sets 11 to 20.
//!
//! The image's shape is known, so what depends on nothing else is computed here, and only nodes that depend on the
//! image's numbers become ops; those that the output does not depend on are left out. No op looks from one image into
//! another, so a batch is one image. What is not supported is refused by name, and nothing is guessed.
//!
//! Source: the ONNX operator specifications.

mod affine;
mod budget;
mod call;
mod constant;
mod convolutions;
mod elementwise;
mod error;
mod fold;
mod norms;
mod shapes;
mod view;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use budget::Budget;
use call::Call;
use constant::{Constant, Numbers};
use error::Result;
use view::View;

pub use error::OnnxError;

use super::graph::{Graph, GraphBuilder, ValueId};
use super::op::{Op, Shape};
use super::recognise::recognise;
use crate::weights::onnx::{Declaration, Dim, Element, Kind, Model, Node};
use crate::weights::tensor::Tensor;

/// The operator sets whose operators mean what is read here.
const OPSETS: std::ops::RangeInclusive<i64> = 11..=20;

/// The channels, height and width that a model's input is declared with; `None` where any will do.
///
/// # Errors
/// Fails if it does not have one input that is a batch of images.
pub fn onnx_input(model: &Model) -> Result<[Option<usize>; 3]> {
    let [_, channels, height, width] = declared(input(model)?)?;
    Ok([channels, height, width])
}

/// The graph that a model computes for images of this shape.
///
/// # Errors
/// Fails if the model is not of operator sets 11 to 20, does not turn images of this shape into one output, or holds
/// an operator, attribute or input that is not supported.
pub fn from_onnx(model: &Model, shape: Shape) -> Result<Graph> {
    let opset = model.opset("").unwrap_or(0);
    if !OPSETS.contains(&opset) {
        return Err(OnnxError::Model {
            what: "the operator set".to_owned(),
            expected: format!("{} to {}", OPSETS.start(), OPSETS.end()),
            found: opset.to_string(),
        });
    }
    let declaration = input(model)?;
    let sides = declared(declaration)?;
    let wanted = [shape.channels, shape.height, shape.width];
    let fits = sides[1..].iter().zip(wanted);
    if !fits
        .into_iter()
        .all(|(side, wanted)| side.is_none_or(|side| side == wanted))
    {
        let side = |side: &Option<usize>| side.map_or("any".to_owned(), |side| side.to_string());
        let sides: Vec<String> = sides[1..].iter().map(side).collect();
        return Err(OnnxError::Model {
            what: format!("the input `{}`", declaration.name.escape_debug()),
            expected: format!("[{}]", sides.join(", ")),
            found: shape.to_string(),
        });
    }
    let [output] = model.graph.outputs.as_slice() else {
        return Err(OnnxError::Model {
            what: "the outputs".to_owned(),
            expected: "one".to_owned(),
            found: model.graph.outputs.len().to_string(),
        });
    };
    let mut importer = Importer::new(model, declaration, shape, sides[0].unwrap_or(1))?;
    for node in needed(model, &output.name) {
        importer.node(&mut Call::new(node, opset))?;
    }
    importer.finish(&output.name)
}

/// The nodes that an output depends on, in the order of the file: exporters leave others, such as running statistics
/// that training would update.
fn needed<'a>(model: &'a Model, output: &'a str) -> Vec<&'a Node> {
    let mut names = HashSet::from([output]);
    let mut nodes = Vec::new();
    for node in model.graph.nodes.iter().rev() {
        if node
            .outputs
            .iter()
            .any(|name| names.contains(name.as_str()))
        {
            let inputs = node.inputs.iter().filter(|name| !name.is_empty());
            names.extend(inputs.map(String::as_str));
            nodes.push(node);
        }
    }
    nodes.reverse();
    nodes
}

/// The one input that is not a constant's name.
fn input(model: &Model) -> Result<&Declaration> {
    let constants: HashSet<&str> = {
        let all = model.graph.initialisers.iter();
        all.map(|tensor| tensor.name.as_str()).collect()
    };
    let inputs = model.graph.inputs.iter();
    let inputs: Vec<&Declaration> = inputs
        .filter(|input| !constants.contains(input.name.as_str()))
        .collect();
    match inputs.as_slice() {
        [one] => Ok(one),
        _ => Err(OnnxError::Model {
            what: "the inputs".to_owned(),
            expected: "one, a batch of images".to_owned(),
            found: inputs.len().to_string(),
        }),
    }
}

/// The sides of a batch of images, where they are known.
fn declared(input: &Declaration) -> Result<[Option<usize>; 4]> {
    let wrong = |found: String| OnnxError::Model {
        what: format!("the input `{}`", input.name.escape_debug()),
        expected: "numbers of four dimensions: batch, channels, height, width".to_owned(),
        found,
    };
    let Kind::Tensor { element, shape } = &input.kind else {
        return Err(wrong("no tensor".to_owned()));
    };
    match element {
        Element::Number(dtype) if dtype.is_float() => {}
        Element::Number(dtype) => return Err(wrong(dtype.to_string())),
        Element::Text => return Err(wrong("strings".to_owned())),
    }
    let Some(shape) = shape else {
        return Ok([None; 4]);
    };
    let sides: Vec<Option<usize>> = shape
        .iter()
        .map(|dim| match dim {
            // A batch of 0 or -1 is what some exporters write for any.
            Dim::Known(side) => usize::try_from(*side).ok().filter(|side| *side > 0),
            Dim::Named(_) | Dim::Unknown => None,
        })
        .collect();
    let found = format!("{} dimensions", sides.len());
    sides.try_into().map_err(|_| wrong(found))
}

/// What a name stands for.
#[derive(Clone, Debug)]
enum Value {
    Constant(Constant),
    Image(View),
    /// What a `SplitToSequence` makes of one: the newer exporter writes PyTorch's `chunk` so.
    Parts(Vec<View>),
}

/// A graph under way.
struct Importer<'a> {
    graph: GraphBuilder,
    /// The images of a batch: 1, unless the model fixes another number.
    batch: usize,
    values: HashMap<&'a str, Value>,
    /// Those that no node has asked for yet are not read.
    initialisers: HashMap<&'a str, &'a Tensor>,
    budget: Budget,
}

/// The inputs of a node; `None` where an optional one is left out.
type Inputs = Vec<Option<Value>>;

impl<'a> Importer<'a> {
    fn new(model: &'a Model, input: &'a Declaration, shape: Shape, batch: usize) -> Result<Self> {
        let (graph, id) = GraphBuilder::new(shape).map_err(|source| OnnxError::Graph {
            node: "the input".to_owned(),
            source,
        })?;
        let image = Value::Image(View::image(id, shape, batch));
        let initialisers = model.graph.initialisers.iter();
        Ok(Self {
            graph,
            batch,
            values: HashMap::from([(input.name.as_str(), image)]),
            initialisers: initialisers.map(|x| (x.name.as_str(), x)).collect(),
            budget: Budget::of(model),
        })
    }

    fn node(&mut self, call: &mut Call<'a>) -> Result<()> {
        let mut inputs = Vec::with_capacity(call.node.inputs.len());
        for name in &call.node.inputs {
            inputs.push(match name.as_str() {
                "" => None,
                name => Some(self.value(call, name)?),
            });
        }
        let outputs = self.outputs(call, inputs)?;
        call.finish()?;
        // Outputs that are not made here (a norm's statistics, a dropout's mask) are missed where one is used.
        for (name, value) in call.node.outputs.iter().zip(outputs) {
            if name.is_empty() {
                continue;
            }
            let known = self.initialisers.contains_key(name.as_str());
            if known || self.values.insert(name, value).is_some() {
                let expected = format!("`{}` to be given once", name.escape_debug());
                return Err(call.form("outputs", expected, "it again"));
            }
        }
        Ok(())
    }

    /// What a name stands for; a constant of the file is read when it is first asked for.
    fn value(&mut self, call: &Call<'_>, name: &'a str) -> Result<Value> {
        if let Some(value) = self.values.get(name) {
            return Ok(value.clone());
        }
        let Some(tensor) = self.initialisers.remove(name) else {
            let expected =
                "a result of an earlier node that is supported, a constant, or the model's input";
            let part = format!("input `{}`", name.escape_debug());
            return Err(call.form(part, expected, "none of that name"));
        };
        let value = Value::Constant(self.budget.load(tensor)?);
        self.values.insert(name, value.clone());
        Ok(value)
    }

    fn outputs(&mut self, call: &mut Call<'_>, inputs: Inputs) -> Result<Vec<Value>> {
        match call.op() {
            _ if !call.node.domain.is_empty() => {
                let node = format!("{} of `{}`", call.called(), call.node.domain);
                return Err(OnnxError::Operator { node });
            }
            "Constant" => return Ok(vec![Value::Constant(self.constant(call)?)]),
            "Shape" | "Size" => return Ok(vec![Value::Constant(self.shape_of(call, &inputs)?)]),
            "SplitToSequence" if matches!(inputs.first(), Some(Some(Value::Image(_)))) => {
                return Ok(vec![Value::Parts(self.split_to_sequence(call, &inputs)?)]);
            }
            // Where the type of an image is asked for, it is that of numbers with a fraction.
            "CastLike" => {
                if let [Some(Value::Constant(data)), Some(Value::Image(_))] = inputs.as_slice() {
                    call.ignore(&["saturate", "round_mode"]);
                    let floats = Constant::floats(data.shape.clone(), data.to_floats().to_vec());
                    return Ok(vec![Value::Constant(floats)]);
                }
            }
            _ => {}
        }
        let constants = inputs.iter().map(|input| match input {
            Some(Value::Constant(constant)) => Some(Some(constant.clone())),
            Some(Value::Image(_) | Value::Parts(_)) => None,
            None => Some(None),
        });
        if let Some(constants) = constants.collect::<Option<Vec<_>>>() {
            return match fold::fold(call, &constants, &mut self.budget)? {
                Some(folded) => Ok(folded.into_iter().map(Value::Constant).collect()),
                None if error::SUPPORTED.contains(&call.op()) => {
                    Err(call.form("inputs", "one that depends on the image", "constants only"))
                }
                None => Err(OnnxError::Operator {
                    node: call.called(),
                }),
            };
        }
        let views = self.images(call, &inputs)?;
        Ok(views.into_iter().map(Value::Image).collect())
    }

    /// A node that depends on the image.
    fn images(&mut self, call: &mut Call<'_>, inputs: &Inputs) -> Result<Vec<View>> {
        let one = match call.op() {
            "Conv" => self.conv(call, inputs)?,
            "ConvTranspose" => self.conv_transpose(call, inputs)?,
            "Gemm" => self.gemm(call, inputs)?,
            "MatMul" => self.matmul(call, inputs)?,
            "BatchNormalization" => self.batch_norm(call, inputs)?,
            "InstanceNormalization" => self.instance_norm(call, inputs)?,
            "GroupNormalization" => self.group_norm(call, inputs)?,
            "LayerNormalization" => self.layer_norm(call, inputs)?,
            "Softmax" => self.softmax(call, inputs)?,
            "ReduceMean" | "GlobalAveragePool" | "AveragePool" => self.mean(call, inputs)?,
            "Add" | "Sub" | "Mul" | "Div" => self.binary(call, inputs)?,
            "Pow" => self.power(call, inputs)?,
            "Clip" => self.clip(call, inputs)?,
            "PRelu" => self.prelu(call, inputs)?,
            "Split" => return self.split(call, inputs),
            "SequenceAt" => part_at(call, inputs)?,
            "Slice" => self.slice(call, inputs)?,
            "Gather" => self.gather(call, inputs)?,
            "Concat" => self.concat(call, inputs)?,
            "DepthToSpace" => self.depth_to_space(call, inputs)?,
            "Pad" => self.pad(call, inputs)?,
            "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => self.reshape(call, inputs)?,
            "Expand" => self.expand(call, inputs)?,
            "Transpose" => self.transpose(call, inputs)?,
            "Identity" | "Dropout" | "Cast" | "CastLike" => same(call, inputs)?,
            _ => match elementwise::function(call)? {
                Some(function) => {
                    let view = image(call, inputs, 0)?;
                    self.keep(call, Op::Apply(function), view)?
                }
                None => {
                    return Err(OnnxError::Operator {
                        node: call.called(),
                    });
                }
            },
        };
        Ok(vec![one])
    }

    fn finish(self, output: &str) -> Result<Graph> {
        let wrong = |expected: &str, found: String| OnnxError::Model {
            what: format!("the output `{}`", output.escape_debug()),
            expected: expected.to_owned(),
            found,
        };
        let expected = "images, or a vector for each";
        match self.values.get(output) {
            Some(Value::Image(view)) => {
                let dims = format!("{:?}", view.dims());
                let whole = view.value(self.graph.shape(view.id), self.batch);
                let id = whole.ok_or_else(|| wrong(expected, dims))?;
                Ok(recognise(&self.graph.finish(id)))
            }
            Some(Value::Constant(_)) => Err(wrong(expected, "a constant".to_owned())),
            Some(Value::Parts(_)) => Err(wrong(expected, "a sequence".to_owned())),
            None => Err(wrong("a node that gives it", "none".to_owned())),
        }
    }

    /// The value of a `Constant` node.
    fn constant(&mut self, call: &mut Call<'_>) -> Result<Constant> {
        if let Some(tensor) = call.tensor("value")? {
            return self.budget.load(tensor);
        }
        if let Some(list) = call.ints("value_ints")? {
            return Ok(Constant::list(list.to_vec()));
        }
        if let Some(list) = call.floats("value_floats")? {
            return Ok(Constant::floats(vec![list.len()], list.to_vec()));
        }
        if call.has("value_int") {
            return Ok(Constant::ints(Vec::new(), vec![call.int("value_int", 0)?]));
        }
        if call.has("value_float") {
            return Ok(Constant::floats(
                Vec::new(),
                vec![call.float("value_float", 0.0)?],
            ));
        }
        Err(call.form("attributes", "a number or numbers", "none"))
    }

    fn shape_of(&self, call: &mut Call<'_>, inputs: &Inputs) -> Result<Constant> {
        let dims = match inputs.first() {
            Some(Some(Value::Constant(constant))) => constant.shape.clone(),
            Some(Some(Value::Image(view))) => view.dims(),
            _ => return Err(call.form("input 0", "a value", "none")),
        };
        let sides = dims.iter().map(|side| *side as i64);
        if call.op() == "Size" {
            let all = sides.fold(1, i64::saturating_mul);
            return Ok(Constant::ints(Vec::new(), vec![all]));
        }
        let rank = dims.len() as i64;
        let start = call.int("start", 0)?;
        let end = call.int("end", rank)?;
        let place = |at: i64| if at < 0 { at.saturating_add(rank) } else { at }.clamp(0, rank);
        let (start, end) = (place(start) as usize, place(end) as usize);
        let sides: Vec<i64> = sides.collect();
        Ok(Constant::list(
            sides.get(start..end).unwrap_or_default().to_vec(),
        ))
    }

    /// Applies an op whose result is seen as its input is.
    fn keep(&mut self, call: &Call<'_>, op: Op, view: &View) -> Result<View> {
        let id = self.push(call, op, &[view.id])?;
        Ok(View { id, ..view.clone() })
    }

    fn push(&mut self, call: &Call<'_>, op: Op, inputs: &[ValueId]) -> Result<ValueId> {
        self.graph
            .push(op, inputs)
            .map_err(|source| call.graph(source))
    }

    /// The result of an op, seen as images.
    fn push_image(&mut self, call: &Call<'_>, op: Op, inputs: &[ValueId]) -> Result<View> {
        let id = self.push(call, op, inputs)?;
        Ok(View::image(id, self.graph.shape(id), self.batch))
    }

    /// An input that must be images as they are, or a vector for each.
    fn whole(&self, call: &Call<'_>, inputs: &Inputs, at: usize) -> Result<ValueId> {
        let view = image(call, inputs, at)?;
        let shape = self.graph.shape(view.id);
        view.value(shape, self.batch).ok_or_else(|| {
            let expected = format!("images of {shape}");
            call.form(format!("input {at}"), expected, view.to_string())
        })
    }

    /// An optional constant of numbers with a fraction, one for each of `count`.
    fn numbers(
        &self,
        call: &Call<'_>,
        inputs: &Inputs,
        at: usize,
        count: usize,
    ) -> Result<Option<Arc<[f32]>>> {
        let Some(constant) = optional(call, inputs, at)? else {
            return Ok(None);
        };
        match constant.len() == count {
            true => Ok(Some(constant.to_floats())),
            false => {
                let expected = format!("{count} numbers");
                Err(call.form(
                    format!("input {at}"),
                    expected,
                    format!("{:?}", constant.shape),
                ))
            }
        }
    }

    fn required(
        &self,
        call: &Call<'_>,
        inputs: &Inputs,
        at: usize,
        count: usize,
    ) -> Result<Arc<[f32]>> {
        let found = self.numbers(call, inputs, at, count)?;
        found.ok_or_else(|| call.form(format!("input {at}"), "a constant", "none"))
    }
}

/// An input that depends on the image.
fn image<'v>(call: &Call<'_>, inputs: &'v Inputs, at: usize) -> Result<&'v View> {
    match inputs.get(at) {
        Some(Some(Value::Image(view))) => Ok(view),
        Some(Some(Value::Constant(_))) => Err(call.form(
            format!("input {at}"),
            "a value that depends on the image",
            "a constant",
        )),
        Some(Some(Value::Parts(_))) => {
            Err(call.form(format!("input {at}"), "one value", "a sequence"))
        }
        _ => Err(call.form(format!("input {at}"), "a value", "none")),
    }
}

/// An input that, if it is given, is a constant.
fn optional<'v>(call: &Call<'_>, inputs: &'v Inputs, at: usize) -> Result<Option<&'v Constant>> {
    match inputs.get(at) {
        Some(Some(Value::Constant(constant))) => Ok(Some(constant)),
        Some(Some(Value::Image(_) | Value::Parts(_))) => Err(call.form(
            format!("input {at}"),
            "a constant",
            "a value that depends on the image",
        )),
        _ => Ok(None),
    }
}

/// The inputs as constants; the image is left out.
fn constants(inputs: &Inputs) -> Vec<Option<Constant>> {
    let constant = |input: &Option<Value>| match input {
        Some(Value::Constant(constant)) => Some(constant.clone()),
        _ => None,
    };
    inputs.iter().map(constant).collect()
}

/// One part of a sequence.
fn part_at(call: &Call<'_>, inputs: &Inputs) -> Result<View> {
    let Some(Some(Value::Parts(parts))) = inputs.first() else {
        return Err(call.form("input 0", "a sequence", "another value"));
    };
    let place = optional(call, inputs, 1)?.and_then(Constant::integers);
    let counted = place.and_then(|place| match place {
        [at] if *at < 0 => at.checked_add(parts.len() as i64),
        [at] => Some(*at),
        _ => None,
    });
    let part = counted.and_then(|at| parts.get(usize::try_from(at).ok()?));
    part.cloned().ok_or_else(|| {
        let expected = format!("the place of one of {} parts", parts.len());
        call.form("input 1", expected, format!("{place:?}"))
    })
}

/// Operators that change nothing when a network is run. Half and double precision become single.
fn same(call: &mut Call<'_>, inputs: &Inputs) -> Result<View> {
    call.ignore(&["ratio", "seed", "saturate", "round_mode"]);
    match call.op() {
        "Cast" => {
            let to = call.int("to", 1)?;
            if !fold::is_floating(to) {
                let found = format!("the element type {to}");
                return Err(call.form(
                    "attribute `to`",
                    "a type of numbers with a fraction",
                    found,
                ));
            }
        }
        "CastLike" if matches!(inputs.get(1), Some(Some(Value::Constant(c))) if matches!(c.numbers, Numbers::Ints(_))) =>
        {
            return Err(call.form("input 1", "numbers with a fraction", "integers"));
        }
        _ => {}
    }
    image(call, inputs, 0).cloned()
}
