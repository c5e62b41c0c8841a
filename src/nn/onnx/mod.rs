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
mod importer;
mod norms;
mod shapes;
mod value;
mod view;

use std::collections::HashSet;

use call::Call;
use error::Result;
use importer::Importer;
use value::{Inputs, Value, constants, image, optional};

pub use error::OnnxError;

use super::graph::Graph;
use super::op::Shape;
use crate::weights::onnx::{Declaration, Dim, Element, Kind, Model, Node};

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
