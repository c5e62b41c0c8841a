//! Functions of one number.

use super::call::Call;
use super::error::Result;
use super::view::View;
use super::{Importer, Inputs, image, optional};
use crate::nn::op::{Binary, Function, Op};

/// The function of an operator that has one input; `None` if it is no such operator.
pub(super) fn function(call: &mut Call<'_>) -> Result<Option<Function>> {
    Ok(Some(match call.op() {
        "Relu" => Function::Relu,
        "LeakyRelu" => Function::LeakyRelu {
            slope: call.float("alpha", 0.01)?,
        },
        "Elu" => Function::Elu {
            alpha: call.float("alpha", 1.0)?,
        },
        "Gelu" => match call.text("approximate", "none")? {
            "none" => Function::Gelu,
            "tanh" => Function::GeluTanh,
            other => {
                return Err(call.form("attribute `approximate`", "\"none\" or \"tanh\"", other));
            }
        },
        "Sigmoid" => Function::Sigmoid,
        "Tanh" => Function::Tanh,
        "Softplus" => Function::Softplus,
        "Mish" => Function::Mish,
        "Erf" => Function::Erf,
        "Exp" => Function::Exp,
        "Sqrt" => Function::Sqrt,
        "Reciprocal" => Function::Reciprocal,
        _ => return Ok(None),
    }))
}

impl Importer<'_> {
    pub(super) fn prelu(&mut self, call: &mut Call<'_>, inputs: &Inputs) -> Result<View> {
        let view = image(call, inputs, 0)?;
        let Some(slopes) = optional(call, inputs, 1)? else {
            return Err(call.form("input 1", "a constant", "none"));
        };
        let slopes = match slopes.len() {
            1 => slopes.to_floats(),
            _ => self.per_channel(call, 1, view, slopes)?,
        };
        self.keep(call, Op::Apply(Function::Prelu { slopes }), view)
    }

    /// A power by a constant: 2, 3, 1, 1/2 or -1.
    pub(super) fn power(&mut self, call: &mut Call<'_>, inputs: &Inputs) -> Result<View> {
        let view = image(call, inputs, 0)?;
        let exponent = optional(call, inputs, 1)?.and_then(|exponent| exponent.uniform());
        let function = match exponent {
            Some(1.0) => return Ok(view.clone()),
            Some(2.0 | 3.0) => Function::Square,
            Some(0.5) => Function::Sqrt,
            Some(-1.0) => Function::Reciprocal,
            other => {
                let found = other.map_or("another".to_owned(), |number| number.to_string());
                return Err(call.form("input 1", "one of 2, 3, 1, 0.5 and -1", found));
            }
        };
        let powered = self.keep(call, Op::Apply(function), view)?;
        if exponent != Some(3.0) {
            return Ok(powered);
        }
        let op = Op::Binary(Binary::Multiply);
        let id = self.push(call, op, &[powered.id, view.id])?;
        Ok(View { id, ..powered })
    }

    /// Only what ReLU does: nothing below 0, and no limit above.
    pub(super) fn clip(&mut self, call: &mut Call<'_>, inputs: &Inputs) -> Result<View> {
        let view = image(call, inputs, 0)?;
        let least = optional(call, inputs, 1)?.and_then(|least| least.uniform());
        let most = optional(call, inputs, 2)?;
        if least != Some(0.0) || most.is_some_and(|most| most.uniform() < Some(f32::MAX)) {
            return Err(call.form("inputs 1 and 2", "0 and no limit", "others"));
        }
        self.keep(call, Op::Apply(Function::Relu), view)
    }
}
