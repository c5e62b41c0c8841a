//! Operators on constants alone, as exporters write them to compute sizes: the image's shape is known, so all of these
//! are computed when a model is read.
//!
//! Source: the ONNX operator specifications, operator sets 11 to 20.

mod numbers;
mod parts;
mod shapes;

use super::budget::Budget;
use super::call::Call;
use super::constant::{Constant, broadcast};
use super::error::Result;
use numbers::{binary, cast, choose, reduce, spread, unary};
use parts::{concat, gather, slice, split};
use shapes::{constant_of_shape, range, tile, transpose};

pub(super) use numbers::is_floating;
pub(super) use parts::{slices, split_sizes};
pub(super) use shapes::{axes, permutation, reshape_target, resized};

/// The inputs of a node; `None` where an optional one is left out.
pub(super) type Inputs<'a> = &'a [Option<Constant>];

/// Computes a node on constants; `None` if its operator is not one of those that are.
pub(super) fn fold(
    call: &mut Call<'_>,
    inputs: Inputs<'_>,
    budget: &mut Budget,
) -> Result<Option<Vec<Constant>>> {
    let one = match call.op() {
        "Identity" | "Dropout" => {
            call.ignore(&["seed", "ratio"]);
            input(call, inputs, 0)?.clone()
        }
        "Cast" => {
            call.ignore(&["saturate", "round_mode"]);
            let to = call.int("to", 1)?;
            cast(input(call, inputs, 0)?, is_floating(to))
        }
        "CastLike" => {
            call.ignore(&["saturate", "round_mode"]);
            let like = input(call, inputs, 1)?;
            cast(input(call, inputs, 0)?, like.integers().is_none())
        }
        "Add" | "Sub" | "Mul" | "Div" | "Mod" | "Pow" | "Min" | "Max" | "Equal" | "Less"
        | "Greater" | "And" | "Or" => binary(call, inputs, budget)?,
        "Floor" | "Ceil" | "Round" | "Neg" | "Abs" | "Sqrt" | "Reciprocal" | "Exp" | "Not" => {
            unary(call, input(call, inputs, 0)?, budget)?
        }
        "Concat" => concat(call, inputs, budget)?,
        "Split" => return split(call, inputs, budget).map(Some),
        "Slice" => slice(call, inputs, budget)?,
        "Gather" => gather(call, inputs, budget)?,
        "Reshape" => {
            let data = input(call, inputs, 0)?;
            let shape = reshape_target(call, &data.shape, list(call, inputs, 1)?)?;
            data.reshaped(shape)
        }
        "Flatten" | "Squeeze" | "Unsqueeze" => {
            let data = input(call, inputs, 0)?;
            let axes = axes(call, inputs)?;
            data.reshaped(resized(call, &data.shape, axes.as_deref())?)
        }
        "Transpose" => transpose(call, input(call, inputs, 0)?, budget)?,
        "Expand" => {
            let data = input(call, inputs, 0)?;
            let target = sides(call, list(call, inputs, 1)?)?;
            let shape = broadcast(&data.shape, &target)
                .ok_or_else(|| call.form("the shape", "one that fits", format!("{target:?}")))?;
            spread(call, data, shape, budget)?
        }
        "Tile" => tile(call, inputs, budget)?,
        "ConstantOfShape" => constant_of_shape(call, inputs, budget)?,
        "Range" => range(call, inputs, budget)?,
        "Where" => choose(call, inputs, budget)?,
        "ReduceProd" | "ReduceSum" | "ReduceMin" | "ReduceMax" => reduce(call, inputs)?,
        _ => return Ok(None),
    };
    Ok(Some(vec![one]))
}

pub(super) fn input<'a>(call: &Call<'_>, inputs: Inputs<'a>, at: usize) -> Result<&'a Constant> {
    let found = inputs.get(at).and_then(Option::as_ref);
    found.ok_or_else(|| call.form(format!("input {at}"), "a constant", "none"))
}

/// An input that is a list of integers.
pub(super) fn list<'a>(call: &Call<'_>, inputs: Inputs<'a>, at: usize) -> Result<&'a [i64]> {
    let found = input(call, inputs, at)?;
    found
        .integers()
        .ok_or_else(|| call.form(format!("input {at}"), "integers", "numbers with a fraction"))
}

/// Sizes, none of them negative.
pub(super) fn sides(call: &Call<'_>, list: &[i64]) -> Result<Vec<usize>> {
    let all: Option<Vec<usize>> = list
        .iter()
        .map(|side| usize::try_from(*side).ok())
        .collect();
    all.ok_or_else(|| call.form("the shape", "no negative sides", format!("{list:?}")))
}
