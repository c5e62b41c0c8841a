//! A node under way: its attributes by type, and errors that name it.

use super::error::{OnnxError, Result};
use crate::nn::graph::GraphError;
use crate::weights::onnx::{AttributeValue, Constant, Node};
use crate::weights::tensor::Tensor;

/// A node, and which of its attributes were read.
pub(super) struct Call<'a> {
    pub node: &'a Node,
    /// The version of the standard operator set.
    pub opset: i64,
    read: Vec<&'static str>,
}

impl<'a> Call<'a> {
    pub fn new(node: &'a Node, opset: i64) -> Self {
        let read = Vec::new();
        Self { node, opset, read }
    }

    pub fn op(&self) -> &'a str {
        &self.node.op
    }

    /// The operator and the node, for messages.
    pub fn called(&self) -> String {
        let op = self.node.op.escape_debug();
        match (self.node.name.as_str(), self.node.outputs.first()) {
            ("", Some(output)) => format!("`{op}` (which gives `{}`)", output.escape_debug()),
            ("", None) => format!("`{op}`"),
            (name, _) => format!("`{op}` (the node `{}`)", name.escape_debug()),
        }
    }

    /// An attribute or input that is not supported.
    pub fn form(
        &self,
        part: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> OnnxError {
        OnnxError::Form {
            node: self.called(),
            part: part.into(),
            expected: expected.into(),
            found: found.into(),
        }
    }

    pub fn graph(&self, source: GraphError) -> OnnxError {
        let node = self.called();
        OnnxError::Graph { node, source }
    }

    fn attribute(&mut self, name: &'static str) -> Option<&'a AttributeValue> {
        self.read.push(name);
        let mut all = self.node.attributes.iter();
        all.find(|attribute| attribute.name == name)
            .map(|attribute| &attribute.value)
    }

    fn wrong(&self, name: &str, expected: &str) -> OnnxError {
        self.form(format!("attribute `{name}`"), expected, "another type")
    }

    pub fn int(&mut self, name: &'static str, default: i64) -> Result<i64> {
        match self.attribute(name) {
            None => Ok(default),
            Some(AttributeValue::Int(value)) => Ok(*value),
            Some(_) => Err(self.wrong(name, "an integer")),
        }
    }

    pub fn float(&mut self, name: &'static str, default: f32) -> Result<f32> {
        match self.attribute(name) {
            None => Ok(default),
            Some(AttributeValue::Float(value)) => Ok(*value),
            Some(_) => Err(self.wrong(name, "a number")),
        }
    }

    pub fn ints(&mut self, name: &'static str) -> Result<Option<&'a [i64]>> {
        match self.attribute(name) {
            None => Ok(None),
            Some(AttributeValue::Ints(value)) => Ok(Some(value)),
            Some(_) => Err(self.wrong(name, "a list of integers")),
        }
    }

    pub fn floats(&mut self, name: &'static str) -> Result<Option<&'a [f32]>> {
        match self.attribute(name) {
            None => Ok(None),
            Some(AttributeValue::Floats(value)) => Ok(Some(value)),
            Some(_) => Err(self.wrong(name, "a list of numbers")),
        }
    }

    pub fn text(&mut self, name: &'static str, default: &'a str) -> Result<&'a str> {
        match self.attribute(name) {
            None => Ok(default),
            Some(AttributeValue::String(value)) => Ok(value),
            Some(_) => Err(self.wrong(name, "a string")),
        }
    }

    pub fn tensor(&mut self, name: &'static str) -> Result<Option<&'a Tensor>> {
        match self.attribute(name) {
            None => Ok(None),
            Some(AttributeValue::Tensor(Constant::Numbers(value))) => Ok(Some(value)),
            Some(_) => Err(self.wrong(name, "a tensor of numbers")),
        }
    }

    pub fn has(&self, name: &str) -> bool {
        self.node.attributes.iter().any(|one| one.name == name)
    }

    /// Attributes that change no result here.
    pub fn ignore(&mut self, names: &[&'static str]) {
        self.read.extend_from_slice(names);
    }

    /// Only attributes that were read may be there: others could change the result.
    pub fn finish(&self) -> Result<()> {
        let mut names = self.node.attributes.iter().map(|one| one.name.as_str());
        match names.find(|name| !self.read.contains(name)) {
            None => Ok(()),
            Some(name) => {
                let part = format!("attribute `{}`", name.escape_debug());
                Err(self.form(part, "none of that name", "one"))
            }
        }
    }
}
