//! Sums, differences, products and quotients: of two values, or of a value and a constant.

use std::sync::Arc;

use super::call::Call;
use super::constant::{Constant, broadcast};
use super::error::Result;
use super::view::View;
use super::{Importer, Inputs, Value};
use crate::nn::op::{Binary, Conv, Function, Op, Shape};

impl Importer<'_> {
    pub(super) fn binary(&mut self, call: &mut Call<'_>, inputs: &Inputs) -> Result<View> {
        let binary = match call.op() {
            "Add" => Binary::Add,
            "Sub" => Binary::Subtract,
            "Mul" => Binary::Multiply,
            _ => Binary::Divide,
        };
        match inputs.as_slice() {
            [Some(Value::Image(a)), Some(Value::Image(b))] => self.combined(call, binary, a, b),
            [Some(Value::Image(view)), Some(Value::Constant(constant))] => {
                self.with_constant(call, binary, view, constant, 1)
            }
            [Some(Value::Constant(constant)), Some(Value::Image(view))] => {
                self.constant_first(call, binary, view, constant)
            }
            _ => Err(call.form("inputs", "two", inputs.len().to_string())),
        }
    }

    /// `constant op view`
    fn constant_first(
        &mut self,
        call: &Call<'_>,
        binary: Binary,
        view: &View,
        constant: &Constant,
    ) -> Result<View> {
        match binary {
            Binary::Add | Binary::Multiply => self.with_constant(call, binary, view, constant, 0),
            Binary::Subtract => {
                let negative = self.scaled(call, view, -1.0)?;
                self.with_constant(call, Binary::Add, &negative, constant, 0)
            }
            Binary::Divide => {
                let inverse = self.keep(call, Op::Apply(Function::Reciprocal), view)?;
                self.with_constant(call, Binary::Multiply, &inverse, constant, 0)
            }
        }
    }

    /// `view op constant`, the constant being one number, or one for each channel.
    fn with_constant(
        &mut self,
        call: &Call<'_>,
        binary: Binary,
        view: &View,
        constant: &Constant,
        at: usize,
    ) -> Result<View> {
        let view = &self.widened(call, view, constant)?;
        let numbers = self.per_channel(call, at, view, constant)?;
        let plain = |number: f32| -> Arc<[f32]> { vec![number; numbers.len()].into() };
        self.budget.spend(call, Some(2 * numbers.len()))?;
        let (scale, shift) = match binary {
            Binary::Add => (plain(1.0), numbers.clone()),
            Binary::Subtract => (plain(1.0), numbers.iter().map(|number| -number).collect()),
            Binary::Multiply => (numbers.clone(), plain(0.0)),
            Binary::Divide => (
                numbers.iter().map(|number| 1.0 / number).collect(),
                plain(0.0),
            ),
        };
        self.keep(call, Op::Affine { scale, shift }, view)
    }

    pub(super) fn scaled(&mut self, call: &Call<'_>, view: &View, by: f32) -> Result<View> {
        let factor = Constant::floats(Vec::new(), vec![by]);
        self.with_constant(call, Binary::Multiply, view, &factor, 1)
    }

    /// An image of one channel, repeated where a constant has one number for each of several channels.
    fn widened(&mut self, call: &Call<'_>, view: &View, constant: &Constant) -> Result<View> {
        let shape = self.graph.shape(view.id);
        let dims = view.dims();
        let channels = match view.value(shape, self.batch) {
            Some(_) if shape.channels == 1 && dims.len() == 4 => match constant.shape.as_slice() {
                [channels, 1, 1] | [1, channels, 1, 1] => *channels,
                _ => 1,
            },
            _ => 1,
        };
        if channels <= 1 {
            return Ok(view.clone());
        }
        self.budget.spend(call, Some(channels))?;
        let ones = vec![1.0; channels];
        let op = Op::Conv(Conv::linear(&ones, None, channels, Shape::vector(1)));
        self.push_image(call, op, &[view.id])
    }

    /// A constant as one number for each channel of a value. It must not make the value larger.
    pub(super) fn per_channel(
        &mut self,
        call: &Call<'_>,
        at: usize,
        view: &View,
        constant: &Constant,
    ) -> Result<Arc<[f32]>> {
        let shape = self.graph.shape(view.id);
        let dims = view.dims();
        let wrong = || {
            let expected = format!("one number, or one for each channel of {view}");
            call.form(
                format!("input {at}"),
                expected,
                format!("{:?}", constant.shape),
            )
        };
        if broadcast(&dims, &constant.shape).as_deref() != Some(&dims) {
            return Err(wrong());
        }
        self.budget.spend(call, Some(shape.channels))?;
        if let Some(number) = constant.uniform() {
            return Ok(vec![number; shape.channels].into());
        }
        let lead = dims.len() - constant.shape.len();
        let mut wide = constant
            .shape
            .iter()
            .enumerate()
            .filter(|(_, side)| **side != 1);
        let axis = wide.next().map(|(axis, _)| axis + lead);
        match wide.next().is_none() && axis == view.channel_axis(shape, self.batch) {
            true => Ok(constant.to_floats()),
            false => Err(wrong()),
        }
    }

    /// Two values of one shape, or one of them a vector or an image of one channel.
    fn combined(&mut self, call: &Call<'_>, binary: Binary, a: &View, b: &View) -> Result<View> {
        let (shape_a, shape_b) = (self.graph.shape(a.id), self.graph.shape(b.id));
        if a.order != b.order || (a.inner != b.inner && !self.images_both(a, b)) {
            let expected = format!("a shape that fits {a}");
            return Err(call.form("input 1", expected, b.to_string()));
        }
        if shape_a.elements() >= shape_b.elements() {
            let id = self.push(call, Op::Binary(binary), &[a.id, b.id])?;
            return Ok(View { id, ..a.clone() });
        }
        // Ops take the larger value first.
        let (op, first) = match binary {
            Binary::Divide => {
                let inverse = self.keep(call, Op::Apply(Function::Reciprocal), b)?;
                (Binary::Multiply, inverse)
            }
            _ => (binary, b.clone()),
        };
        let id = self.push(call, Op::Binary(op), &[first.id, a.id])?;
        let made = View { id, ..first };
        match binary {
            Binary::Subtract => self.scaled(call, &made, -1.0),
            _ => Ok(made),
        }
    }

    /// Whether two values have channels on the same axis, and the same pixels or, one of them, a single one.
    fn images_both(&self, a: &View, b: &View) -> bool {
        let known = |view: &View| view.has_channels(self.graph.shape(view.id), self.batch);
        let single = |view: &View| self.graph.shape(view.id).pixels() == 1;
        a.inner.len() == b.inner.len()
            && known(a)
            && known(b)
            && (a.inner[2..] == b.inner[2..] || single(a) || single(b))
    }
}
