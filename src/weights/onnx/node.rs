//! `NodeProto` and `AttributeProto`.

use super::convert::Converted;
use super::tensor;
use super::wire::{Field, Reader, Span, Value, float, int, span, unlike};
use super::{Attribute, AttributeValue, ML, Node, Result, malformed, once, standard, unsupported};

/// Reads a node.
pub(super) fn node(
    reader: &mut Reader,
    mut message: Span,
    converted: &mut Converted,
) -> Result<Node> {
    reader.hold(size_of::<Node>() as u64)?;
    let mut node = Node {
        name: String::new(),
        op: String::new(),
        domain: String::new(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        attributes: Vec::new(),
    };
    let mut refused = None;
    while let Some(field) = reader.next(&mut message)? {
        match field.number {
            1 => node.inputs.push(reader.text(field)?),
            2 => node.outputs.push(reader.text(field)?),
            3 => node.name = reader.text(field)?,
            4 => node.op = reader.text(field)?,
            5 => match attribute(reader, span(field)?, converted)? {
                Ok(attribute) => node.attributes.push(attribute),
                Err(why) => refused = refused.or(Some(why)),
            },
            7 => node.domain = standard(reader.text(field)?),
            _ => {}
        }
    }
    if !["", ML].contains(&node.domain.as_str()) {
        return Err(unsupported(format!(
            "{} is an operator of the domain `{}`: only those of `ai.onnx` and `ai.onnx.ml` are supported",
            called(&node),
            node.domain
        )));
    }
    match refused {
        None => Ok(node),
        Some(Refused { attribute, what }) => Err(unsupported(format!(
            "the attribute `{attribute}` of {} {what}, which is not supported",
            called(&node)
        ))),
    }
}

fn called(node: &Node) -> String {
    match (node.name.as_str(), node.outputs.first()) {
        ("", Some(output)) => format!("`{}` (which gives `{output}`)", node.op),
        ("", None) => format!("`{}`", node.op),
        (name, _) => format!("`{}` (the node `{name}`)", node.op),
    }
}

/// Why an attribute is refused; the node's name may come later in the file.
struct Refused {
    attribute: String,
    what: &'static str,
}

/// What was found of an `AttributeProto`: every kind of value has a field of its own.
#[derive(Default)]
struct Found {
    name: String,
    kind: i64,
    float: Option<f32>,
    int: Option<i64>,
    string: Option<String>,
    tensor: Option<super::Constant>,
    floats: Vec<f32>,
    ints: Vec<i64>,
    strings: Vec<String>,
    tensors: Vec<super::Constant>,
    refused: Option<&'static str>,
}

fn attribute(
    reader: &mut Reader,
    mut message: Span,
    converted: &mut Converted,
) -> Result<std::result::Result<Attribute, Refused>> {
    let at = message.start;
    reader.hold(size_of::<Attribute>() as u64)?;
    let mut found = Found::default();
    while let Some(field) = reader.next(&mut message)? {
        found.take(reader, field, converted)?;
    }
    if let Some(what) = found.refused {
        return Ok(Err(Refused {
            attribute: found.name,
            what,
        }));
    }
    found.finish(at).map(Ok)
}

impl Found {
    fn take(&mut self, reader: &mut Reader, field: Field, converted: &mut Converted) -> Result<()> {
        match field.number {
            1 => self.name = reader.text(field)?,
            2 => self.float = Some(float(field)?),
            3 => self.int = Some(int(field)?),
            4 => self.string = Some(reader.text(field)?),
            5 => {
                let read = tensor::constant(reader, span(field)?, "attribute", converted)?;
                once(&mut self.tensor, read, field)?;
            }
            7 => floats(reader, field, &mut self.floats)?,
            8 => ints(reader, field, &mut self.ints)?,
            9 => self.strings.push(reader.text(field)?),
            10 => {
                let read = tensor::constant(reader, span(field)?, "attribute", converted)?;
                self.tensors.push(read);
            }
            6 | 11 => self.refused = Some("is a subgraph"),
            14 | 15 => self.refused = Some("is a type"),
            20 => self.kind = int(field)?,
            21 => self.refused = Some("stands for a function's"),
            22 | 23 => self.refused = Some("is a sparse tensor"),
            _ => {}
        }
        Ok(())
    }

    /// The value that the type says (`AttributeProto.AttributeType`); a field that is left out has its default.
    fn finish(self, at: u64) -> Result<Attribute> {
        let value = match self.implied_kind() {
            1 => AttributeValue::Float(self.float.unwrap_or_default()),
            2 => AttributeValue::Int(self.int.unwrap_or_default()),
            3 => AttributeValue::String(self.string.unwrap_or_default()),
            4 => match self.tensor {
                Some(tensor) => AttributeValue::Tensor(tensor),
                None => {
                    let message = format!("expected a tensor as `{}`, found none", self.name);
                    return Err(malformed(at, message));
                }
            },
            6 => AttributeValue::Floats(self.floats),
            7 => AttributeValue::Ints(self.ints),
            8 => AttributeValue::Strings(self.strings),
            9 => AttributeValue::Tensors(self.tensors),
            kind => {
                let message = format!(
                    "expected an attribute of type 1 to 4 or 6 to 9, found `{}` of type {kind}",
                    self.name
                );
                return Err(malformed(at, message));
            }
        };
        Ok(Attribute {
            name: self.name,
            value,
        })
    }

    /// The type that is given, or, in models of before IR version 2, follows from the field that is there.
    fn implied_kind(&self) -> i64 {
        match self.kind {
            0 if self.float.is_some() => 1,
            0 if self.int.is_some() => 2,
            0 if self.string.is_some() => 3,
            0 if self.tensor.is_some() => 4,
            0 if !self.floats.is_empty() => 6,
            0 if !self.ints.is_empty() => 7,
            0 if !self.strings.is_empty() => 8,
            kind => kind,
        }
    }
}

/// Numbers of `repeated float`, one by one or packed.
fn floats(reader: &mut Reader, field: Field, list: &mut Vec<f32>) -> Result<()> {
    match field.value {
        Value::Fixed32(bits) => {
            reader.hold(4)?;
            list.push(f32::from_bits(bits));
        }
        Value::Span(mut packed) => {
            reader.hold(packed.size())?;
            while packed.start < packed.end {
                list.push(f32::from_le_bytes(reader.array(&mut packed)?));
            }
        }
        found => return Err(unlike(field, "floats", found)),
    }
    Ok(())
}

/// Numbers of `repeated int64`, one by one or packed.
fn ints(reader: &mut Reader, field: Field, list: &mut Vec<i64>) -> Result<()> {
    match field.value {
        Value::Varint(number) => {
            reader.hold(8)?;
            list.push(number as i64);
        }
        Value::Span(mut packed) => {
            while packed.start < packed.end {
                reader.hold(8)?;
                list.push(reader.varint(&mut packed)? as i64);
            }
        }
        found => return Err(unlike(field, "integers", found)),
    }
    Ok(())
}
