//! Reading `model_args`: typed, bounded, and with every complaint at once.
//!
//! The loader hands `model_args` to the network's class as keyword arguments, so what Python would refuse there is
//! refused here: an unknown name, a float or a boolean where a size is wanted, `null` where a number is.

use std::fmt;
use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::wording::{describe, int_help, place, shorten, unquote};
use crate::wording::nearest;

/// One step of the way to a value below `model_args`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PathPart {
    Key(String),
    Index(usize),
}

/// What is wrong with `model_args`, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ArgError {
    /// The way from `model_args` to the value, or to the table that lacks one.
    pub at: Vec<PathPart>,
    /// What was expected and found, in one line.
    pub message: String,
    /// A next step.
    pub help: Option<String>,
}

/// The complaints so far.
#[derive(Debug, Default)]
pub(super) struct Errors(Vec<ArgError>);

impl Errors {
    pub fn push(&mut self, at: &[PathPart], message: String, help: Option<String>) {
        self.0.push(ArgError {
            at: at.to_vec(),
            message,
            help,
        });
    }

    /// Complains of the argument `name`, where it stands in `args`, or of its default.
    pub fn about(&mut self, args: &Map<String, Value>, name: &str, message: &str) {
        let key = PathPart::Key(name.to_owned());
        let at = if args.contains_key(name) {
            vec![key.clone()]
        } else {
            Vec::new()
        };
        let message = format!("{}: {message}", place(&[key]));
        self.push(&at, message, None);
    }

    /// The value, if nothing was wrong with it.
    pub fn result<T>(self, value: Option<T>) -> Result<T, Vec<ArgError>> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(self.0),
        }
    }
}

/// A value and its place.
#[derive(Clone, Debug)]
pub(super) struct Arg<'a> {
    pub value: &'a Value,
    pub at: Vec<PathPart>,
}

impl<'a> Arg<'a> {
    /// `model_args.norm[1].eps`, in backticks.
    pub fn place(&self) -> String {
        place(&self.at)
    }

    pub fn error(&self, errors: &mut Errors, message: impl fmt::Display, help: Option<String>) {
        errors.push(&self.at, format!("{}: {message}", self.place()), help);
    }

    /// Complains of a value that is not `expected`.
    pub fn wrong(&self, errors: &mut Errors, expected: &str, help: Option<String>) {
        let found = describe(self.value);
        self.error(errors, format!("expected {expected}, found {found}"), help);
    }

    /// A whole number, as Python's `int`: `8.0` is none, nor is `true`.
    pub fn int(&self, errors: &mut Errors, range: RangeInclusive<u64>) -> Option<u64> {
        let (low, high) = (*range.start(), *range.end());
        if let Some(found) = self.value.as_u64()
            && range.contains(&found)
        {
            return Some(found);
        }
        let whole = match self.value {
            Value::Number(number) => !number.to_string().contains(['.', 'e', 'E']),
            _ => false,
        };
        let above = whole && self.value.as_f64().is_some_and(|x| x > high as f64);
        let expected = match (whole, above) {
            (false, _) => "an integer".to_owned(),
            (true, true) => format!("an integer of at most {high}"),
            (true, false) => format!("an integer of at least {low}"),
        };
        self.wrong(errors, &expected, int_help(self.value));
        None
    }

    pub fn bool(&self, errors: &mut Errors) -> Option<bool> {
        let found = self.value.as_bool();
        if found.is_none() {
            self.wrong(errors, "`true` or `false`", None);
        }
        found
    }

    /// A finite number, whole or not, that `valid` accepts.
    pub fn float(
        &self,
        errors: &mut Errors,
        expected: &str,
        valid: impl Fn(f64) -> bool,
    ) -> Option<f64> {
        let number = self.value.as_f64().filter(|x| x.is_finite() && valid(*x));
        if number.is_none() {
            self.wrong(errors, expected, unquote(self.value));
        }
        number
    }

    /// The items of a list.
    pub fn items(&self, errors: &mut Errors, expected: &str) -> Option<Vec<Self>> {
        let Value::Array(values) = self.value else {
            self.wrong(errors, expected, None);
            return None;
        };
        let items = values.iter().enumerate();
        Some(
            items
                .map(|(index, value)| self.item(index, value))
                .collect(),
        )
    }

    fn item(&self, index: usize, value: &'a Value) -> Self {
        Self {
            value,
            at: self.below(index),
        }
    }

    fn below(&self, index: usize) -> Vec<PathPart> {
        let mut at = self.at.clone();
        at.push(PathPart::Index(index));
        at
    }

    /// A list of whole numbers, at most `most` of them.
    pub fn ints(
        &self,
        errors: &mut Errors,
        most: usize,
        range: RangeInclusive<u64>,
    ) -> Option<Vec<u64>> {
        let items = self.items(errors, "a list of integers")?;
        if !self.at_most(errors, items.len(), most) {
            return None;
        }
        let read: Vec<Option<u64>> = items
            .iter()
            .map(|item| item.int(errors, range.clone()))
            .collect();
        read.into_iter().collect()
    }

    /// Complains of a list that is longer than anything meant.
    pub fn at_most(&self, errors: &mut Errors, count: usize, most: usize) -> bool {
        if count > most {
            let message = format!("expected at most {most} entries, found {count}");
            self.error(errors, message, None);
        }
        count <= most
    }

    /// A whole number for both sides, or `[height, width]`.
    pub fn pair(&self, errors: &mut Errors, range: RangeInclusive<u64>) -> Option<[u64; 2]> {
        let Value::Array(values) = self.value else {
            return self.int(errors, range).map(|side| [side, side]);
        };
        let [height, width] = values.as_slice() else {
            self.wrong(errors, "an integer or [height, width]", None);
            return None;
        };
        let height = self.item(0, height).int(errors, range.clone());
        let width = self.item(1, width).int(errors, range);
        Some([height?, width?])
    }

    /// A layer by name, or as `[name, {arguments}]`; `null` and the empty name are [`Layer::None`].
    pub fn layer(&self, errors: &mut Errors) -> Option<Layer<'a>> {
        match self.value {
            Value::Null => return Some(Layer::None),
            Value::String(name) if name.is_empty() => return Some(Layer::None),
            Value::String(name) => return Some(Layer::Named(Named::new(name, self.clone(), None))),
            Value::Array(parts) => {
                if let [name @ Value::String(text), Value::Object(map)] = parts.as_slice() {
                    let arguments = Some((map, self.below(1)));
                    let named = Named::new(text, self.item(0, name), arguments);
                    return Some(Layer::Named(named));
                }
            }
            _ => {}
        }
        // The two forms that MONAI's `split_args` takes.
        self.wrong(errors, "a name, [name, {arguments}] or null", None);
        None
    }
}

/// A layer that MONAI's factories make.
pub(super) enum Layer<'a> {
    None,
    Named(Named<'a>),
}

/// A layer by name, as MONAI's factories take it.
pub(super) struct Named<'a> {
    /// In capitals and without blanks around it: MONAI's factories do not care.
    pub name: String,
    /// Where the name stands.
    pub arg: Arg<'a>,
    arguments: Option<(&'a Map<String, Value>, Vec<PathPart>)>,
}

impl<'a> Named<'a> {
    fn new(
        name: &str,
        arg: Arg<'a>,
        arguments: Option<(&'a Map<String, Value>, Vec<PathPart>)>,
    ) -> Self {
        let name = name.trim().to_uppercase();
        Self {
            name,
            arg,
            arguments,
        }
    }

    /// The layer's own arguments.
    pub fn table(&self) -> Table<'a> {
        let (map, at) = match &self.arguments {
            Some((map, at)) => (Some(*map), at.clone()),
            None => (None, self.arg.at.clone()),
        };
        let what = self.name.clone();
        Table::new(what, map, at)
    }

    /// Complains of a name that is none of `supported`.
    pub fn refuse(&self, errors: &mut Errors, what: &str, supported: &[&str], foreign: &[&str]) {
        let name = shorten(&self.name);
        if foreign.contains(&self.name.as_str()) {
            let message = format!("the {what} {name} is not supported");
            let help = format!("supported are {} and null", supported.join(", "));
            self.arg.error(errors, message, Some(help));
            return;
        }
        let help = match nearest(&self.name, supported.iter().copied()) {
            Some(near) => format!("did you mean {near}?"),
            None if self.name == "NONE" => "write null".to_owned(),
            None => format!("supported are {} and null", supported.join(", ")),
        };
        let message = format!("MONAI knows no {what} {name}");
        self.arg.error(errors, message, Some(help));
    }
}

/// A table of keyword arguments, being read.
pub(super) struct Table<'a> {
    /// Whose arguments they are.
    what: String,
    map: Option<&'a Map<String, Value>>,
    at: Vec<PathPart>,
    /// The names that were asked for, in order.
    known: Vec<&'static str>,
    missing: Vec<&'static str>,
}

impl<'a> Table<'a> {
    pub fn new(what: String, map: Option<&'a Map<String, Value>>, at: Vec<PathPart>) -> Self {
        Self {
            what,
            map,
            at,
            known: Vec::new(),
            missing: Vec::new(),
        }
    }

    /// An argument that may be absent.
    pub fn get(&mut self, name: &'static str) -> Option<Arg<'a>> {
        self.known.push(name);
        let value = self.map?.get(name)?;
        let mut at = self.at.clone();
        at.push(PathPart::Key(name.to_owned()));
        Some(Arg { value, at })
    }

    /// An argument without a default; its absence is complained of at the end.
    pub fn require(&mut self, name: &'static str) -> Option<Arg<'a>> {
        let found = self.get(name);
        if found.is_none() {
            self.missing.push(name);
        }
        found
    }

    /// A value, or its default where it is absent; `None` only after a complaint.
    pub fn read<T>(
        &mut self,
        name: &'static str,
        default: T,
        read: impl FnOnce(&Arg<'a>) -> Option<T>,
    ) -> Option<T> {
        match self.get(name) {
            Some(arg) => read(&arg),
            None => Some(default),
        }
    }

    /// Complains of what is missing and of what was never asked for.
    pub fn finish(self, errors: &mut Errors, help: impl Fn(&str) -> Option<String>) {
        let what = &self.what;
        let empty = Map::new();
        let found = self.map.unwrap_or(&empty).keys();
        let unknown: Vec<&String> = found
            .filter(|name| !self.known.contains(&name.as_str()))
            .collect();
        let meant: Vec<Option<&str>> = unknown
            .iter()
            .map(|name| nearest(name, self.known.iter().copied()))
            .collect();
        for (name, meant) in unknown.iter().zip(&meant) {
            let mut at = self.at.clone();
            at.push(PathPart::Key((*name).clone()));
            let help = match meant {
                Some(near) => format!("did you mean `{near}`?"),
                None => help(name).unwrap_or_else(|| self.accepted()),
            };
            let message = format!("{what} takes no argument `{}`", shorten(name));
            errors.push(&at, message, Some(help));
        }
        // A misspelt name explains why the right one is missing.
        let missing = self.missing.iter().copied();
        for name in missing.filter(|name| !meant.contains(&Some(*name))) {
            let message = format!("{} has no `{name}`", place(&self.at));
            let help = format!("{what} cannot be made without it");
            errors.push(&self.at, message, Some(help));
        }
    }

    fn accepted(&self) -> String {
        match self.known.as_slice() {
            [] => format!("{} takes none", self.what),
            known => format!("it takes `{}`", known.join("`, `")),
        }
    }
}

/// An argument as it stands in a lockfile, with what it is where nobody sets it.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub name: &'static str,
    pub value: Value,
    pub default: Option<Value>,
}

impl Entry {
    pub fn new(name: &'static str, value: impl Into<Value>, default: impl Into<Value>) -> Self {
        Self {
            name,
            value: value.into(),
            default: Some(default.into()),
        }
    }

    pub fn required(name: &'static str, value: impl Into<Value>) -> Self {
        Self {
            name,
            value: value.into(),
            default: None,
        }
    }

    pub fn is_default(&self) -> bool {
        self.default.as_ref() == Some(&self.value)
    }
}
