//! ONNX: what a model declares, computes and holds, read from its protocol buffer; the only parser of it here.
//!
//! Messages, fields and numbers are those of `onnx-ml.proto3` (IR version 12). The numbers of a tensor stay where they
//! are in the file, so that a model of any size is read in little memory; those that are written as varints are
//! converted into a temporary file.
//!
//! Refused by name, because a graph that holds them means nothing without them: external data, sparse tensors,
//! subgraphs, functions, and operators outside the standard domains.

mod convert;
mod graph;
mod node;
mod tensor;
#[cfg(test)]
mod tests;
mod wire;

use super::WeightsError;
use super::tensor::{DType, Tensor};
use crate::blob::Blob;
use convert::Converted;
use wire::{Field, Reader, Span, int, span};

type Result<T> = std::result::Result<T, WeightsError>;

/// The domain of operators for classical models; that of all others is the empty one.
pub const ML: &str = "ai.onnx.ml";

/// A model: its graph, and what it says of itself.
#[derive(Clone, Debug)]
pub struct Model {
    pub ir_version: i64,
    /// The operator sets that the graph relies on; never empty.
    pub opsets: Vec<Opset>,
    /// Which program wrote it, and that program's version; empty where it does not say.
    pub producer: String,
    pub producer_version: String,
    pub graph: Graph,
    /// Named values (`metadata_props`), in the order of the file.
    pub metadata: Vec<(String, String)>,
}

/// An operator set: a domain, empty for the standard one, and its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opset {
    pub domain: String,
    pub version: i64,
}

/// What is computed.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    pub name: String,
    /// In topological order, as the format demands; that is for who runs them to check.
    pub nodes: Vec<Node>,
    /// The constants that are numbers; names are unique, those of `texts` included.
    pub initialisers: Vec<Tensor>,
    /// The constants that are strings.
    pub texts: Vec<Texts>,
    /// An initialiser may be listed among the inputs: it is then the default of an optional one.
    pub inputs: Vec<Declaration>,
    pub outputs: Vec<Declaration>,
}

/// An operator applied to named values.
#[derive(Clone, Debug)]
pub struct Node {
    /// May be empty.
    pub name: String,
    /// The operator: `Conv`.
    pub op: String,
    /// Empty for `ai.onnx`, or `ai.onnx.ml`.
    pub domain: String,
    /// An empty name is an optional input that is left out.
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
    pub attributes: Vec<Attribute>,
}

/// A named constant of a node.
#[derive(Clone, Debug)]
pub struct Attribute {
    pub name: String,
    pub value: AttributeValue,
}

/// The value of an attribute.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum AttributeValue {
    Float(f32),
    Int(i64),
    String(String),
    Tensor(Constant),
    Floats(Vec<f32>),
    Ints(Vec<i64>),
    Strings(Vec<String>),
    Tensors(Vec<Constant>),
}

/// A tensor of numbers, or of strings.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum Constant {
    Numbers(Tensor),
    Texts(Texts),
}

/// A tensor of strings, in row-major order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Texts {
    pub name: String,
    pub shape: Vec<u64>,
    pub values: Vec<String>,
}

/// The name and type of an input or output.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Declaration {
    pub name: String,
    pub kind: Kind,
}

/// The type of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A tensor; no shape means any number of dimensions.
    Tensor {
        element: Element,
        shape: Option<Vec<Dim>>,
    },
    Sequence(Box<Kind>),
    Map {
        key: Element,
        value: Box<Kind>,
    },
    Optional(Box<Kind>),
}

/// The type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Element {
    Number(DType),
    Text,
}

/// A dimension of a declared tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dim {
    Known(u64),
    /// The same wherever this name stands: `batch`.
    Named(String),
    Unknown,
}

impl Model {
    /// The version of a domain's operator set; the standard domain is the empty one.
    pub fn opset(&self, domain: &str) -> Option<i64> {
        let mut opsets = self.opsets.iter();
        opsets
            .find(|opset| opset.domain == domain)
            .map(|o| o.version)
    }

    /// A named value of the metadata.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        let mut entries = self.metadata.iter();
        entries
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }

    /// The features of a classifier's input, as HiTMicTools reads them: `feature_names` in the metadata, split at
    /// commas.
    pub fn feature_names(&self) -> Option<Vec<&str>> {
        Some(self.metadata("feature_names")?.split(',').collect())
    }

    /// How many fitted numbers it has: the elements of floating-point initialisers, and of what the nodes of
    /// `ai.onnx.ml` have as lists of floats or as tensors, where classical models keep theirs.
    pub fn parameters(&self) -> u64 {
        let numbers = |tensor: &Tensor| match is_floating(tensor.dtype) {
            true => tensor.elements(),
            false => 0,
        };
        let constant = |constant: &Constant| match constant {
            Constant::Numbers(tensor) => numbers(tensor),
            Constant::Texts(_) => 0,
        };
        let nodes = self.graph.nodes.iter().filter(|node| node.domain == ML);
        let attributes = nodes.flat_map(|node| &node.attributes);
        let attributes = attributes.map(|attribute| match &attribute.value {
            AttributeValue::Floats(list) => list.len() as u64,
            AttributeValue::Tensor(tensor) => constant(tensor),
            AttributeValue::Tensors(list) => list.iter().map(constant).sum(),
            _ => 0,
        });
        self.graph.initialisers.iter().map(numbers).sum::<u64>() + attributes.sum::<u64>()
    }
}

fn is_floating(dtype: DType) -> bool {
    !matches!(
        dtype,
        DType::I64
            | DType::I32
            | DType::I16
            | DType::I8
            | DType::U64
            | DType::U32
            | DType::U16
            | DType::U8
            | DType::Bool
    )
}

/// Whether a file with these first bytes is taken for ONNX: a `ModelProto` whose first field is `ir_version` (1 to
/// 127), as every serialiser writes it, followed by the key of one of its next fields (producer to graph or opset).
pub fn looks_like(head: &[u8]) -> bool {
    const NEXT: [u8; 7] = [0x12, 0x1a, 0x22, 0x28, 0x32, 0x3a, 0x42];
    matches!(head, [0x08, 1..=0x7f, next, ..] if NEXT.contains(next))
}

/// Reads a model.
///
/// # Errors
/// Fails if it is none, is damaged, or holds something that is refused (see the module's page).
pub fn read(blob: &Blob) -> Result<Model> {
    let mut reader = Reader::new(blob);
    let mut message = reader.whole();
    let mut found = Found::default();
    while let Some(field) = reader.next(&mut message)? {
        found.take(&mut reader, field)?;
    }
    found.finish(&mut reader)
}

/// What was found of a `ModelProto` so far.
#[derive(Default)]
struct Found {
    ir_version: i64,
    opsets: Vec<Opset>,
    producer: String,
    producer_version: String,
    graph: Option<Graph>,
    metadata: Vec<(String, String)>,
    converted: Converted,
}

impl Found {
    fn take(&mut self, reader: &mut Reader, field: Field) -> Result<()> {
        match field.number {
            1 => self.ir_version = int(field)?,
            2 => self.producer = reader.text(field)?,
            3 => self.producer_version = reader.text(field)?,
            7 => {
                let graph = graph::graph(reader, span(field)?, &mut self.converted)?;
                once(&mut self.graph, graph, field)?;
            }
            8 => self.opsets.push(opset(reader, span(field)?)?),
            14 => {
                let (key, value) = entry(reader, span(field)?)?;
                if self.metadata.iter().any(|(known, _)| *known == key) {
                    return Err(malformed(
                        field.at,
                        format!("expected each key of the metadata once, found `{key}` twice"),
                    ));
                }
                self.metadata.push((key, value));
            }
            25 => return Err(function(reader, span(field)?)?),
            // The model's own domain, version and description; how it was trained; devices.
            _ => {}
        }
        Ok(())
    }

    fn finish(self, reader: &mut Reader) -> Result<Model> {
        let end = reader.whole().end;
        let lacks = |what: &str| malformed(end, format!("expected {what}, found none"));
        let mut graph = self.graph.ok_or_else(|| lacks("a graph"))?;
        if self.ir_version < 1 {
            return Err(lacks("a positive ir_version"));
        }
        if self.opsets.is_empty() {
            return Err(lacks("an opset_import"));
        }
        self.converted.place(&mut graph)?;
        Ok(Model {
            ir_version: self.ir_version,
            opsets: self.opsets,
            producer: self.producer,
            producer_version: self.producer_version,
            graph,
            metadata: self.metadata,
        })
    }
}

/// An `OperatorSetIdProto`.
fn opset(reader: &mut Reader, mut message: Span) -> Result<Opset> {
    reader.hold(size_of::<Opset>() as u64)?;
    let mut opset = Opset {
        domain: String::new(),
        version: 0,
    };
    while let Some(field) = reader.next(&mut message)? {
        match field.number {
            1 => opset.domain = standard(reader.text(field)?),
            2 => opset.version = int(field)?,
            _ => {}
        }
    }
    Ok(opset)
}

/// The standard domain has two names; here it is the empty one.
fn standard(domain: String) -> String {
    match domain.as_str() {
        "ai.onnx" => String::new(),
        _ => domain,
    }
}

/// A `StringStringEntryProto`.
fn entry(reader: &mut Reader, mut message: Span) -> Result<(String, String)> {
    let (mut key, mut value) = Default::default();
    reader.hold(size_of::<(String, String)>() as u64)?;
    while let Some(field) = reader.next(&mut message)? {
        match field.number {
            1 => key = reader.text(field)?,
            2 => value = reader.text(field)?,
            _ => {}
        }
    }
    Ok((key, value))
}

/// The refusal of a `FunctionProto`, by name.
fn function(reader: &mut Reader, mut message: Span) -> Result<WeightsError> {
    let mut name = String::new();
    while let Some(field) = reader.next(&mut message)? {
        if field.number == 1 {
            name = reader.text(field)?;
        }
    }
    Ok(unsupported(format!(
        "it defines the function `{name}`, which is not supported: inline it when exporting"
    )))
}

/// Takes a message that may stand only once. Two would be merged by protobuf, but hardly by every reader.
fn once<T>(place: &mut Option<T>, value: T, field: Field) -> Result<()> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(malformed(
            field.at,
            format!("expected field {} once, found it again", field.number),
        )),
    }
}

fn malformed(at: u64, message: String) -> WeightsError {
    WeightsError::Malformed {
        format: "an ONNX model",
        member: None,
        offset: Some(at),
        message,
    }
}

fn unsupported(message: String) -> WeightsError {
    WeightsError::Unsupported {
        format: "an ONNX model",
        message,
    }
}
