//! A node of a model, and what may be wrong with it.

use std::io::Read;

use super::super::PiError;
use super::value::{Data, Precision, Value};
use crate::weights::onnx::{self, AttributeValue, Constant};
use crate::weights::tensor::{DType, Tensor};

/// A node, asked for its attributes by name and type.
#[derive(Clone, Copy)]
pub(super) struct Node<'a>(pub &'a onnx::Node);

/// What is wrong with the values that a node is given.
#[derive(Debug)]
pub(super) enum Wrong {
    Unlike { expected: String, found: String },
    TooLarge,
}

impl Wrong {
    pub fn types(values: &[&Value]) -> Self {
        let kinds: Vec<&str> = values.iter().map(|value| value.data.kind()).collect();
        Self::other("values of types that it takes", kinds.join(" and "))
    }

    pub fn shapes(expected: &str, values: &[&Value]) -> Self {
        let shapes: Vec<String> = values.iter().map(|v| format!("{:?}", v.shape)).collect();
        Self::other(expected, shapes.join(" and "))
    }

    pub fn other(expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self::Unlike {
            expected: expected.into(),
            found: found.into(),
        }
    }

    /// The error, of the node that messages call `what`.
    pub fn of(self, what: &str) -> PiError {
        let what = what.to_owned();
        match self {
            Self::Unlike { expected, found } => PiError::Model {
                what,
                expected,
                found,
            },
            Self::TooLarge => PiError::TooLarge {
                what,
                most: super::ops::MOST,
            },
        }
    }
}

impl<'a> Node<'a> {
    /// What messages call it: the operator, and the value that it gives.
    pub fn called(&self) -> String {
        match self.0.outputs.first() {
            Some(output) => format!("`{}` (which gives `{output}`)", self.0.op),
            None => format!("`{}`", self.0.op),
        }
    }

    pub fn wrong(&self, expected: impl Into<String>, found: impl Into<String>) -> PiError {
        Wrong::other(expected, found).of(&self.called())
    }

    pub fn unsupported(&self, detail: impl AsRef<str>, next: impl Into<String>) -> PiError {
        let what = format!("{} {}", self.called(), detail.as_ref());
        PiError::Unsupported {
            what: what.trim_end().to_owned(),
            next: next.into(),
        }
    }

    fn attribute(&self, name: &str) -> Option<&'a AttributeValue> {
        let mut attributes = self.0.attributes.iter();
        attributes.find(|a| a.name == name).map(|a| &a.value)
    }

    fn unlike(&self, name: &str, expected: &str) -> PiError {
        self.wrong(format!("{expected} as `{name}`"), "another value")
    }

    pub fn int(&self, name: &str, default: i64) -> Result<i64, PiError> {
        match self.attribute(name) {
            None => Ok(default),
            Some(AttributeValue::Int(number)) => Ok(*number),
            Some(_) => Err(self.unlike(name, "an integer")),
        }
    }

    pub fn text(&self, name: &str, default: &'a str) -> Result<&'a str, PiError> {
        match self.attribute(name) {
            None => Ok(default),
            Some(AttributeValue::String(text)) => Ok(text),
            Some(_) => Err(self.unlike(name, "a string")),
        }
    }

    pub fn ints(&self, name: &str) -> Result<&'a [i64], PiError> {
        match self.attribute(name) {
            None => Ok(&[]),
            Some(AttributeValue::Ints(list)) => Ok(list),
            Some(_) => Err(self.unlike(name, "integers")),
        }
    }

    pub fn texts(&self, name: &str) -> Result<&'a [String], PiError> {
        match self.attribute(name) {
            None => Ok(&[]),
            Some(AttributeValue::Strings(list)) => Ok(list),
            Some(_) => Err(self.unlike(name, "strings")),
        }
    }

    /// Floats, or the tensor that may stand for them under the name with `_as_tensor`.
    pub fn floats(&self, name: &str) -> Result<Vec<f64>, PiError> {
        match self.attribute(name) {
            Some(AttributeValue::Floats(list)) => {
                return Ok(list.iter().copied().map(f64::from).collect());
            }
            Some(_) => return Err(self.unlike(name, "floats")),
            None => {}
        }
        let name = format!("{name}_as_tensor");
        match self.attribute(&name) {
            None => Ok(Vec::new()),
            Some(AttributeValue::Tensor(Constant::Numbers(tensor))) => match constant(tensor)?.data
            {
                Data::Reals(_, numbers) => Ok(numbers),
                _ => Err(self.unlike(&name, "a tensor of floats")),
            },
            Some(_) => Err(self.unlike(&name, "a tensor of floats")),
        }
    }

    /// Whether one of its lists of numbers is a tensor.
    pub fn has(&self, name: &str) -> bool {
        self.attribute(name).is_some()
    }
}

/// A tensor of the file as a value.
pub(super) fn constant(tensor: &Tensor) -> Result<Value, PiError> {
    let unlike = |expected: &str, found: String| PiError::Model {
        what: format!("the constant `{}`", tensor.name),
        expected: expected.to_owned(),
        found,
    };
    let shape: Option<Vec<usize>> = tensor
        .shape
        .iter()
        .map(|size| usize::try_from(*size).ok())
        .collect();
    let shape = shape.filter(|shape| shape.len() <= 2);
    let shape = shape.ok_or_else(|| {
        unlike(
            "at most two dimensions",
            format!("the shape {:?}", tensor.shape),
        )
    })?;
    // The elements of a file's tensor lie in it: this is not larger than the file.
    if tensor.contiguous().is_none() || tensor.elements() > super::ops::MOST as u64 {
        return Err(unlike(
            "at most 2^24 elements",
            tensor.elements().to_string(),
        ));
    }
    let mut bytes = Vec::new();
    let read = tensor
        .reader()
        .and_then(|mut reader| reader.read_to_end(&mut bytes));
    read.map_err(|error| unlike("elements that can be read", error.to_string()))?;
    fn each<const N: usize, T>(bytes: &[u8], of: impl Fn([u8; N]) -> T) -> Vec<T> {
        bytes
            .as_chunks::<N>()
            .0
            .iter()
            .map(|bytes| of(*bytes))
            .collect()
    }
    let data = match tensor.dtype {
        DType::F32 => Data::Reals(
            Precision::Single,
            each(&bytes, |bytes| f64::from(f32::from_le_bytes(bytes))),
        ),
        DType::F64 => Data::Reals(Precision::Double, each(&bytes, f64::from_le_bytes)),
        DType::I64 => Data::Ints(each(&bytes, i64::from_le_bytes)),
        DType::I32 => Data::Ints(each(&bytes, |bytes| i64::from(i32::from_le_bytes(bytes)))),
        other => {
            return Err(unlike(
                "float32, float64, int32 or int64",
                other.to_string(),
            ));
        }
    };
    Ok(Value { shape, data })
}
