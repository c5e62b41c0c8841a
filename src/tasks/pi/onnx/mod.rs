//! Classical models in ONNX, as skl2onnx writes them: compiled to a list of steps, and run on rows of features.
//!
//! What is computed is what ONNX Runtime computes, in the types that the model has.

mod compile;
mod node;
mod ops;
mod scores;
mod trees;
mod value;

pub(super) use compile::compile;

use std::borrow::Cow;

use super::{BadValue, PiError, Predictions};
use node::Wrong;
use ops::{Binary, Cast, Reduction, Unary};
use value::{Data, Precision, Value};

/// A model's steps, in the order in which they are done.
#[derive(Debug)]
pub(super) struct Program {
    inputs: Vec<Input>,
    /// Values that are known, at their places.
    constants: Vec<(usize, Value)>,
    steps: Vec<Step>,
    /// How many values there are, the known ones included.
    values: usize,
    labels: Data,
    /// Where the labels of the rows are.
    label: usize,
    /// Where their probabilities are: one matrix, or a column for each class.
    probabilities: Vec<usize>,
    takes_missing: bool,
}

/// An input: so many features of a row.
#[derive(Debug)]
struct Input {
    place: usize,
    columns: usize,
    precision: Precision,
}

/// A step: from values to values, by their places.
#[derive(Debug)]
struct Step {
    op: Op,
    /// What messages call it.
    called: String,
    /// `None` where an optional one is left out.
    inputs: Vec<Option<usize>>,
    outputs: Vec<Option<usize>>,
}

/// What a step does.
#[derive(Debug)]
enum Op {
    Identity,
    Cast(Cast),
    Binary(Binary),
    Unary(Unary),
    Clip,
    MatMul,
    /// Along the rows; whether the sums are a column.
    Reduce(Reduction, bool),
    Softmax,
    /// Along the rows; whether the places are a column.
    ArgMax(bool),
    Reshape,
    Slice,
    Concat,
    /// The same, of so many columns each, and in single precision.
    Vectorize(Vec<i64>),
    Extract,
    Scaler(scores::Scaler),
    Normalizer(scores::Norm),
    Linear(scores::Linear),
    Trees(trees::Ensemble),
}

impl Program {
    /// Whether probabilities are in single precision.
    pub fn is_single(&self) -> bool {
        let is_double = |input: &Input| input.precision == Precision::Double;
        let ends_single = |step: &Step| matches!(step.op, Op::Linear(_) | Op::Trees(_));
        !self.inputs.iter().any(is_double) || self.steps.iter().any(ends_single)
    }

    /// Classifies rows of `width` features.
    pub fn predict(
        &self,
        rows: &[f64],
        width: usize,
        classes: usize,
    ) -> Result<Predictions, PiError> {
        self.check(rows, width)?;
        let count = rows.len() / width;
        let mut values: Vec<Option<Cow<Value>>> = vec![None; self.values];
        for (place, value) in &self.constants {
            put(&mut values, *place, Cow::Borrowed(value));
        }
        let mut start = 0;
        for input in &self.inputs {
            let all = rows.chunks_exact(width);
            let own = all.flat_map(|row| row.iter().skip(start).take(input.columns));
            let numbers = own.map(|x| input.precision.round(*x)).collect();
            let value = Value::reals(vec![count, input.columns], input.precision, numbers);
            put(&mut values, input.place, Cow::Owned(value));
            start += input.columns;
        }
        let mut budget = ops::MOST;
        for step in &self.steps {
            let found = step.run(&values).map_err(|wrong| wrong.of(&step.called))?;
            for (place, value) in step.outputs.iter().zip(found) {
                let left = budget.checked_sub(value.data.len());
                budget = left.ok_or_else(|| Wrong::TooLarge.of(&step.called))?;
                if let Some(place) = place {
                    put(&mut values, *place, Cow::Owned(value));
                }
            }
        }
        Ok(Predictions {
            labels: self.labels(&values, count)?,
            probabilities: self.probabilities(&values, count, classes)?,
        })
    }

    /// Refuses infinite numbers, and missing ones where no tree says what to do with them.
    fn check(&self, rows: &[f64], width: usize) -> Result<(), PiError> {
        let is_single = |input: &Input| input.precision == Precision::Single;
        let is_single = self.inputs.iter().any(is_single);
        for (index, number) in rows.iter().enumerate() {
            let is_infinite = number.is_infinite() || is_single && (*number as f32).is_infinite();
            let value = match number.is_nan() {
                true if !self.takes_missing => BadValue::Missing,
                _ if is_infinite => BadValue::Infinite(*number),
                _ => continue,
            };
            return Err(PiError::Value {
                row: index / width,
                feature: index % width,
                value,
            });
        }
        Ok(())
    }

    fn labels(&self, values: &[Option<Cow<Value>>], count: usize) -> Result<Vec<usize>, PiError> {
        let found = get(values, self.label).map_err(|wrong| wrong.of("the label"))?;
        let places: Option<Vec<usize>> = match (&found.data, &self.labels) {
            (Data::Ints(list), Data::Ints(known)) => {
                let place = |label| known.iter().position(|known| known == label);
                list.iter().map(place).collect()
            }
            (Data::Texts(list), Data::Texts(known)) => {
                let place = |label| known.iter().position(|known| known == label);
                list.iter().map(place).collect()
            }
            _ => None,
        };
        let places = places.filter(|places| places.len() == count);
        places.ok_or_else(|| {
            Wrong::shapes(&format!("{count} known labels"), &[found]).of("the label")
        })
    }

    fn probabilities(
        &self,
        values: &[Option<Cow<Value>>],
        count: usize,
        classes: usize,
    ) -> Result<Vec<f64>, PiError> {
        const WHAT: &str = "the probabilities";
        let mut columns = Vec::with_capacity(classes);
        for place in &self.probabilities {
            let value = get(values, *place).map_err(|wrong| wrong.of(WHAT))?;
            let numbers = ops::reals(value).map_err(|wrong| wrong.of(WHAT))?.1;
            let width = classes / self.probabilities.len();
            if numbers.len() != count * width || value.shape.first() != Some(&count) {
                let wrong = Wrong::shapes(&format!("{width} for each of {count} rows"), &[value]);
                return Err(wrong.of(WHAT));
            }
            columns.extend((0..width).map(|column| numbers.iter().skip(column).step_by(width)));
        }
        let mut all = Vec::with_capacity(count * classes);
        for row in 0..count {
            for column in &mut columns {
                let number = column.next().copied().unwrap_or(f64::NAN);
                if number.is_nan() {
                    return Err(PiError::NoNumber { row });
                }
                all.push(number);
            }
        }
        Ok(all)
    }
}

fn put<'a>(values: &mut [Option<Cow<'a, Value>>], place: usize, value: Cow<'a, Value>) {
    if let Some(empty) = values.get_mut(place) {
        *empty = Some(value);
    }
}

fn get<'a>(values: &'a [Option<Cow<Value>>], place: usize) -> Result<&'a Value, Wrong> {
    let value = values.get(place).and_then(Option::as_deref);
    value.ok_or_else(|| Wrong::other("a value", "none"))
}

impl Step {
    fn run(&self, values: &[Option<Cow<Value>>]) -> Result<Vec<Value>, Wrong> {
        let optional = |index: usize| {
            let place = self.inputs.get(index).copied().flatten();
            place.map(|place| get(values, place)).transpose()
        };
        let input = |index: usize| {
            let found = optional(index)?;
            found.ok_or_else(|| Wrong::other(format!("an input {index}"), "none"))
        };
        let all = || {
            (0..self.inputs.len())
                .map(input)
                .collect::<Result<Vec<_>, _>>()
        };
        let first = input(0)?;
        let one = match &self.op {
            Op::Identity => first.clone(),
            Op::Cast(to) => ops::cast(first, *to)?,
            Op::Binary(op) => ops::binary(*op, first, input(1)?)?,
            Op::Unary(op) => ops::unary(*op, first)?,
            Op::Clip => ops::clip(first, optional(1)?, optional(2)?)?,
            Op::MatMul => ops::matmul(first, input(1)?)?,
            Op::Reduce(op, keep) => ops::reduce(*op, first, *keep)?,
            Op::Softmax => ops::softmax(first)?,
            Op::ArgMax(keep) => ops::arg_max(first, *keep)?,
            Op::Reshape => ops::reshape(first, ints(input(1)?)?)?,
            Op::Slice => slice(first, [input(1)?, input(2)?, input(3)?], optional(4)?)?,
            Op::Concat => ops::concat(&all()?)?,
            Op::Vectorize(widths) => {
                let all = all()?;
                if !all
                    .iter()
                    .map(|v| v.matrix().1 as i64)
                    .eq(widths.iter().copied())
                {
                    let expected = format!("matrices of {widths:?} columns");
                    return Err(Wrong::shapes(&expected, &all));
                }
                ops::cast(&ops::concat(&all)?, Cast::Real(Precision::Single))?
            }
            Op::Extract => ops::extract(first, input(1)?)?,
            Op::Scaler(scaler) => scaler.run(first)?,
            Op::Normalizer(norm) => norm.run(first)?,
            Op::Linear(linear) => return Ok(linear.run(first)?.into()),
            Op::Trees(trees) => return Ok(trees.run(first)?.into()),
        };
        Ok(vec![one])
    }
}

fn ints(value: &Value) -> Result<&[i64], Wrong> {
    match &value.data {
        Data::Ints(list) => Ok(list),
        _ => Err(Wrong::types(&[value])),
    }
}

/// `Slice`, of columns that follow one another.
fn slice(value: &Value, bounds: [&Value; 3], steps: Option<&Value>) -> Result<Value, Wrong> {
    let [starts, ends, axes] = bounds;
    let steps = steps.map(ints).transpose()?.unwrap_or(&[1]);
    match (ints(starts)?, ints(ends)?, ints(axes)?, steps) {
        ([start], [end], [1 | -1], [1]) => ops::columns(value, *start, *end),
        (_, _, axes, steps) => Err(Wrong::other(
            "one range of columns, without steps",
            format!("ranges of the axes {axes:?} in steps of {steps:?}"),
        )),
    }
}
