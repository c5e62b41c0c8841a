//! What every convolution of a MONAI network is made with: the arguments that all its blocks share.
//!
//! Sources: MONAI 1.5, `networks/layers/utils.py` (`get_dropout_layer`), `networks/blocks/acti_norm.py` (`ADN`).

use serde_json::{Value, json};

use super::{Activation, Norm, inplace};
use crate::nn::arguments::{Arg, Entry, Errors, Layer, Table};

/// Dropout: nothing when a network is run, kept because it is declared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Dropout {
    None,
    Plain { p: f64 },
    Alpha { p: f64 },
}

/// What may follow a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Letter {
    Activation,
    Dropout,
    Norm,
}

const DROPOUTS: [&str; 2] = ["DROPOUT", "ALPHADROPOUT"];

impl Dropout {
    pub(in crate::nn) fn read(arg: &Arg<'_>, errors: &mut Errors) -> Option<Self> {
        if arg.value.is_number() {
            return probability(arg, errors).map(|p| Self::Plain { p });
        }
        let named = match arg.layer(errors)? {
            Layer::None => return Some(Self::None),
            Layer::Named(named) => named,
        };
        if !DROPOUTS.contains(&named.name.as_str()) {
            named.refuse(errors, "dropout", &DROPOUTS, &[]);
            return None;
        }
        let mut table = named.table();
        let p = table.read("p", 0.5, |x| probability(x, errors));
        inplace(&mut table, errors);
        table.finish(errors, |_| None);
        match named.name.as_str() {
            "DROPOUT" => p.map(|p| Self::Plain { p }),
            _ => p.map(|p| Self::Alpha { p }),
        }
    }

    /// As it is written in metadata, in the shortest form.
    pub(in crate::nn) fn to_json(self) -> Value {
        match self {
            Self::None => Value::Null,
            Self::Plain { p } => json!(p),
            Self::Alpha { p } => json!(["ALPHADROPOUT", {"p": p}]),
        }
    }
}

fn probability(arg: &Arg<'_>, errors: &mut Errors) -> Option<f64> {
    arg.float(errors, "a number from 0 to 1", |p| (0.0..=1.0).contains(&p))
}

impl Letter {
    const ALL: [(Self, char); 3] = [
        (Self::Activation, 'A'),
        (Self::Dropout, 'D'),
        (Self::Norm, 'N'),
    ];

    fn of(letter: char) -> Option<Self> {
        let all = Self::ALL.iter();
        let upper = letter.to_ascii_uppercase();
        all.copied()
            .find(|(_, name)| *name == upper)
            .map(|(letter, _)| letter)
    }

    fn name(self) -> char {
        let all = Self::ALL.iter();
        all.copied()
            .find(|(letter, _)| *letter == self)
            .map_or('A', |(_, name)| name)
    }
}

/// The order of normalisation, dropout and activation.
///
/// A letter that comes again replaces the module of its first coming, which keeps its place (`ADN.__init__` uses
/// `add_module`): only first comings count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ordering(Vec<Letter>);

impl Default for Ordering {
    fn default() -> Self {
        Self(vec![Letter::Norm, Letter::Dropout, Letter::Activation])
    }
}

impl Ordering {
    pub fn letters(&self) -> &[Letter] {
        &self.0
    }

    pub(in crate::nn) fn read(arg: &Arg<'_>, errors: &mut Errors) -> Option<Self> {
        let expected = "an order of the letters A, D and N, such as \"NDA\"";
        let Some(text) = arg.value.as_str() else {
            arg.wrong(errors, expected, None);
            return None;
        };
        let mut letters = Vec::with_capacity(3);
        for letter in text.chars() {
            let Some(letter) = Letter::of(letter) else {
                arg.wrong(errors, expected, None);
                return None;
            };
            if !letters.contains(&letter) {
                letters.push(letter);
            }
        }
        Some(Self(letters))
    }

    pub(in crate::nn) fn to_json(&self) -> Value {
        let text: String = self.0.iter().map(|letter| letter.name()).collect();
        Value::String(text)
    }
}

/// What every convolution of a network is made with, and followed by.
#[derive(Clone, Debug, PartialEq)]
pub struct Style {
    pub activation: Activation,
    pub norm: Norm,
    pub dropout: Dropout,
    pub bias: bool,
    pub ordering: Ordering,
}

impl Style {
    /// MONAI's defaults; only that of dropout differs between its classes.
    pub fn new(dropout: Dropout) -> Self {
        Self {
            activation: Activation::DEFAULT,
            norm: Norm::DEFAULT,
            dropout,
            bias: true,
            ordering: Ordering::default(),
        }
    }

    /// Reads `act`, `norm`, `dropout`, `bias` and `adn_ordering`.
    pub(in crate::nn) fn read(
        table: &mut Table<'_>,
        dropout: Dropout,
        errors: &mut Errors,
    ) -> Option<Self> {
        let plain = Self::new(dropout);
        let activation = table.read("act", plain.activation, |x| Activation::read(x, errors));
        let norm = table.read("norm", plain.norm, |x| Norm::read(x, errors));
        let dropout = table.read("dropout", plain.dropout, |x| Dropout::read(x, errors));
        let bias = table.read("bias", plain.bias, |x| x.bool(errors));
        let ordering = table.read("adn_ordering", plain.ordering, |x| {
            Ordering::read(x, errors)
        });
        Some(Self {
            activation: activation?,
            norm: norm?,
            dropout: dropout?,
            bias: bias?,
            ordering: ordering?,
        })
    }

    pub(in crate::nn) fn entries(&self, dropout: Dropout) -> [Entry; 5] {
        let plain = Self::new(dropout);
        [
            Entry::new("act", self.activation.to_json(), plain.activation.to_json()),
            Entry::new("norm", self.norm.to_json(), plain.norm.to_json()),
            Entry::new("dropout", self.dropout.to_json(), plain.dropout.to_json()),
            Entry::new("bias", self.bias, plain.bias),
            Entry::new(
                "adn_ordering",
                self.ordering.to_json(),
                plain.ordering.to_json(),
            ),
        ]
    }
}
