//! `GraphProto`, and the types of its inputs and outputs.

use std::collections::HashSet;

use super::convert::Converted;
use super::tensor;
use super::wire::{Field, Reader, Span, int, span};
use super::{
    Constant, Declaration, Dim, Element, Graph, Kind, Result, malformed, node, once, unsupported,
};

/// How deep types may nest: skl2onnx makes a sequence of maps of tensors.
const TYPE_DEPTH: usize = 8;

/// Reads a graph.
pub(super) fn graph(
    reader: &mut Reader,
    mut message: Span,
    converted: &mut Converted,
) -> Result<Graph> {
    let mut graph = Graph::default();
    let mut names = HashSet::new();
    while let Some(field) = reader.next(&mut message)? {
        match field.number {
            1 => graph
                .nodes
                .push(node::node(reader, span(field)?, converted)?),
            2 => graph.name = reader.text(field)?,
            5 => initialiser(reader, field, converted, &mut graph, &mut names)?,
            11 => graph.inputs.push(declaration(reader, field)?),
            12 => graph.outputs.push(declaration(reader, field)?),
            15 => {
                let name = sparse_name(reader, span(field)?)?;
                return Err(unsupported(format!(
                    "its initialiser `{name}` is sparse, which is not supported: export it dense"
                )));
            }
            // Descriptions, and the types of what is in between, which follow from the rest.
            _ => {}
        }
    }
    Ok(graph)
}

fn initialiser(
    reader: &mut Reader,
    field: Field,
    converted: &mut Converted,
    graph: &mut Graph,
    names: &mut HashSet<String>,
) -> Result<()> {
    let constant = tensor::constant(reader, span(field)?, "initialiser", converted)?;
    let name = match &constant {
        Constant::Numbers(tensor) => &tensor.name,
        Constant::Texts(texts) => &texts.name,
    };
    if name.is_empty() {
        let message = "expected an initialiser with a name, found one without";
        return Err(malformed(field.at, message.to_owned()));
    }
    reader.hold(name.len() as u64)?;
    if !names.insert(name.clone()) {
        let message = format!("expected each initialiser once, found `{name}` twice");
        return Err(malformed(field.at, message));
    }
    match constant {
        Constant::Numbers(tensor) => graph.initialisers.push(tensor),
        Constant::Texts(texts) => graph.texts.push(texts),
    }
    Ok(())
}

/// The name of a `SparseTensorProto`: that of its values.
fn sparse_name(reader: &mut Reader, mut message: Span) -> Result<String> {
    while let Some(field) = reader.next(&mut message)? {
        if field.number == 1 {
            return tensor::name(reader, span(field)?);
        }
    }
    Ok(String::new())
}

/// A `ValueInfoProto`.
fn declaration(reader: &mut Reader, field: Field) -> Result<Declaration> {
    reader.hold(size_of::<Declaration>() as u64)?;
    let mut message = span(field)?;
    let mut name = String::new();
    let mut kind = None;
    while let Some(field) = reader.next(&mut message)? {
        match field.number {
            1 => name = reader.text(field)?,
            2 => {
                let read = self::kind(reader, span(field)?, TYPE_DEPTH)?;
                once(&mut kind, read, field)?;
            }
            _ => {}
        }
    }
    match kind {
        Some(kind) => Ok(Declaration { name, kind }),
        None => Err(malformed(
            field.at,
            format!("expected the type of the input or output `{name}`, found none"),
        )),
    }
}

/// A `TypeProto`; it may nest `depth` more.
fn kind(reader: &mut Reader, mut message: Span, depth: usize) -> Result<Kind> {
    let at = message.start;
    let Some(depth) = depth.checked_sub(1) else {
        return Err(malformed(
            at,
            format!("expected a type of at most {TYPE_DEPTH} levels, found more"),
        ));
    };
    reader.hold(size_of::<Kind>() as u64)?;
    let mut kind = None;
    while let Some(field) = reader.next(&mut message)? {
        let read = match field.number {
            1 => tensor_kind(reader, span(field)?)?,
            4 => Kind::Sequence(inner(reader, field, 1, depth)?),
            5 => map_kind(reader, field, depth)?,
            9 => Kind::Optional(inner(reader, field, 1, depth)?),
            7 => return Err(unsupported_kind("opaque")),
            8 => return Err(unsupported_kind("sparse")),
            _ => continue,
        };
        once(&mut kind, read, field)?;
    }
    kind.ok_or_else(|| malformed(at, "expected a type, found none".to_owned()))
}

fn unsupported_kind(what: &str) -> super::WeightsError {
    unsupported(format!(
        "an input or output has an {what} type, which is not supported"
    ))
}

/// `TypeProto.Tensor`.
fn tensor_kind(reader: &mut Reader, mut message: Span) -> Result<Kind> {
    let at = message.start;
    let mut element = None;
    let mut shape = None;
    while let Some(field) = reader.next(&mut message)? {
        match field.number {
            1 => element = Some(tensor::element(int(field)?, field.at)?),
            2 => {
                let read = declared_shape(reader, span(field)?)?;
                once(&mut shape, read, field)?;
            }
            _ => {}
        }
    }
    match element {
        Some(element) => Ok(Kind::Tensor { element, shape }),
        None => Err(malformed(
            at,
            "expected the type of a tensor's elements, found none".to_owned(),
        )),
    }
}

/// The type in field `number` of a `TypeProto.Sequence`, `Optional` or `Map`.
fn inner(reader: &mut Reader, outer: Field, number: u32, depth: usize) -> Result<Box<Kind>> {
    let mut message = span(outer)?;
    let mut found = None;
    while let Some(field) = reader.next(&mut message)? {
        if field.number == number {
            let read = kind(reader, span(field)?, depth)?;
            once(&mut found, Box::new(read), field)?;
        }
    }
    let message = "expected the type of what it holds, found none";
    found.ok_or_else(|| malformed(outer.at, message.to_owned()))
}

/// `TypeProto.Map`.
fn map_kind(reader: &mut Reader, outer: Field, depth: usize) -> Result<Kind> {
    let mut message = span(outer)?;
    let mut key: Option<Element> = None;
    while let Some(field) = reader.next(&mut message)? {
        if field.number == 1 {
            key = Some(tensor::element(int(field)?, field.at)?);
        }
    }
    let message = "expected the type of a map's keys, found none";
    Ok(Kind::Map {
        key: key.ok_or_else(|| malformed(outer.at, message.to_owned()))?,
        value: inner(reader, outer, 2, depth)?,
    })
}

/// `TensorShapeProto`.
fn declared_shape(reader: &mut Reader, mut message: Span) -> Result<Vec<Dim>> {
    let mut dims = Vec::new();
    while let Some(field) = reader.next(&mut message)? {
        if field.number == 1 {
            reader.hold(size_of::<Dim>() as u64)?;
            dims.push(dim(reader, span(field)?)?);
        }
    }
    Ok(dims)
}

/// `TensorShapeProto.Dimension`. Some exporters write -1 or nothing for what is not known.
fn dim(reader: &mut Reader, mut message: Span) -> Result<Dim> {
    let mut dim = Dim::Unknown;
    while let Some(field) = reader.next(&mut message)? {
        match field.number {
            1 => dim = u64::try_from(int(field)?).map_or(Dim::Unknown, Dim::Known),
            2 => {
                let name = reader.text(field)?;
                dim = match name.is_empty() {
                    true => Dim::Unknown,
                    false => Dim::Named(name),
                };
            }
            _ => {}
        }
    }
    Ok(dim)
}
