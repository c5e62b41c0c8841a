//! Shapes of constants, and constants of a shape.

use super::parts::along;
use super::{Inputs, input, list, sides};
use crate::nn::onnx::budget::Budget;
use crate::nn::onnx::call::Call;
use crate::nn::onnx::constant::{Constant, Numbers, axis, elements, strides, walk};
use crate::nn::onnx::error::Result;

/// The shape that `Reshape` asks for: 0 is the side that was there (unless `allowzero`), and -1 what is left.
pub(in crate::nn::onnx) fn reshape_target(
    call: &mut Call<'_>,
    from: &[usize],
    target: &[i64],
) -> Result<Vec<usize>> {
    let keep_zero = call.int("allowzero", 0)? != 0;
    let wrong = |call: &Call<'_>| {
        let expected = format!("a shape for {from:?}");
        call.form("input 1", expected, format!("{target:?}"))
    };
    let mut shape = Vec::with_capacity(target.len());
    let mut rest = None;
    for (at, side) in target.iter().enumerate() {
        shape.push(match side {
            0 if !keep_zero => *from.get(at).ok_or_else(|| wrong(call))?,
            -1 if rest.is_none() => {
                rest = Some(at);
                1
            }
            side => usize::try_from(*side).map_err(|_| wrong(call))?,
        });
    }
    let (all, known) = (elements(from), elements(&shape));
    let (Some(all), Some(known)) = (all, known) else {
        return Err(wrong(call));
    };
    if let Some(at) = rest {
        shape[at] = all.checked_div(known).ok_or_else(|| wrong(call))?;
    }
    match elements(&shape) == Some(all) {
        true => Ok(shape),
        false => Err(wrong(call)),
    }
}

/// The axes of `Squeeze` and `Unsqueeze`: an attribute before operator set 13, then an input.
pub(in crate::nn::onnx) fn axes(
    call: &mut Call<'_>,
    inputs: Inputs<'_>,
) -> Result<Option<Vec<i64>>> {
    if let Some(axes) = call.ints("axes")? {
        return Ok(Some(axes.to_vec()));
    }
    match inputs.get(1).is_some_and(Option::is_some) {
        true => Ok(Some(list(call, inputs, 1)?.to_vec())),
        false => Ok(None),
    }
}

/// The shape that `Flatten`, `Squeeze` or `Unsqueeze` makes.
pub(in crate::nn::onnx) fn resized(
    call: &mut Call<'_>,
    shape: &[usize],
    axes: Option<&[i64]>,
) -> Result<Vec<usize>> {
    match call.op() {
        "Flatten" => {
            let at = call.int("axis", 1)?;
            let at = match at == shape.len() as i64 {
                true => shape.len(),
                false => axis(call, at, shape.len())?,
            };
            let (before, after) = shape.split_at(at);
            let sides = [before, after].map(elements);
            let [Some(before), Some(after)] = sides else {
                let expected = "sides that can be counted";
                return Err(call.form("input 0", expected, format!("{shape:?}")));
            };
            Ok(vec![before, after])
        }
        "Squeeze" => {
            let mut gone = vec![axes.is_none(); shape.len()];
            for at in axes.unwrap_or_default() {
                gone[axis(call, *at, shape.len())?] = true;
            }
            let mut left = Vec::new();
            for (side, gone) in shape.iter().zip(&gone) {
                match (gone, side) {
                    (true, 1) => {}
                    (true, _) if axes.is_some() => {
                        return Err(call.form("axes", "sides of 1", side.to_string()));
                    }
                    _ => left.push(*side),
                }
            }
            Ok(left)
        }
        _ => {
            let axes = axes.unwrap_or_default();
            let rank = shape.len() + axes.len();
            let mut new = vec![false; rank];
            for at in axes {
                new[axis(call, *at, rank)?] = true;
            }
            if new.iter().filter(|new| **new).count() != axes.len() {
                return Err(call.form("axes", "each once", format!("{axes:?}")));
            }
            let mut old = shape.iter();
            let side = |new: &bool| if *new { Some(1) } else { old.next().copied() };
            Ok(new.iter().filter_map(side).collect())
        }
    }
}

/// The permutation of a `Transpose`.
pub(in crate::nn::onnx) fn permutation(call: &mut Call<'_>, rank: usize) -> Result<Vec<usize>> {
    let Some(list) = call.ints("perm")? else {
        return Ok((0..rank).rev().collect());
    };
    let found: Vec<usize> = list
        .iter()
        .filter_map(|at| usize::try_from(*at).ok())
        .collect();
    let mut sorted = found.clone();
    sorted.sort_unstable();
    match list.len() == rank && sorted.into_iter().eq(0..rank) {
        true => Ok(found),
        false => {
            let expected = format!("a permutation of {rank} axes");
            Err(call.form("attribute `perm`", expected, format!("{list:?}")))
        }
    }
}

pub(super) fn transpose(
    call: &mut Call<'_>,
    data: &Constant,
    budget: &mut Budget,
) -> Result<Constant> {
    let order = permutation(call, data.shape.len())?;
    budget.spend(call, Some(data.len()))?;
    let from = strides(&data.shape);
    let shape: Vec<usize> = order.iter().map(|at| data.shape[*at]).collect();
    let stride: Vec<usize> = order.iter().map(|at| from[*at]).collect();
    let places = walk(&shape, &stride);
    Ok(data.gathered(shape, &places))
}

pub(super) fn tile(call: &Call<'_>, inputs: Inputs<'_>, budget: &mut Budget) -> Result<Constant> {
    let mut data = input(call, inputs, 0)?.clone();
    let repeats = sides(call, list(call, inputs, 1)?)?;
    if repeats.len() != data.shape.len() {
        let expected = format!("{} repeats", data.shape.len());
        return Err(call.form("input 1", expected, repeats.len().to_string()));
    }
    for (at, times) in repeats.into_iter().enumerate() {
        let side = data.shape[at];
        // What is repeated is bounded before it is listed.
        let mut shape = data.shape.clone();
        shape[at] = side.saturating_mul(times);
        budget.spend(call, elements(&shape))?;
        let picked: Vec<usize> = (0..shape[at]).map(|place| place % side.max(1)).collect();
        data = along(call, &data, at, &picked, budget)?;
    }
    Ok(data)
}

pub(super) fn constant_of_shape(
    call: &mut Call<'_>,
    inputs: Inputs<'_>,
    budget: &mut Budget,
) -> Result<Constant> {
    let shape = sides(call, list(call, inputs, 0)?)?;
    let count = budget.spend(call, elements(&shape))?;
    let Some(value) = call.tensor("value")? else {
        return Ok(Constant::floats(shape, vec![0.0; count]));
    };
    let value = budget.load(value)?;
    Ok(match &value.numbers {
        Numbers::Ints(numbers) if numbers.len() == 1 => {
            Constant::ints(shape, vec![numbers[0]; count])
        }
        Numbers::Floats(numbers) if numbers.len() == 1 => {
            Constant::floats(shape, vec![numbers[0]; count])
        }
        _ => return Err(call.form("attribute `value`", "one number", value.len().to_string())),
    })
}

pub(super) fn range(call: &Call<'_>, inputs: Inputs<'_>, budget: &mut Budget) -> Result<Constant> {
    let number = |at| -> Result<i64> {
        match list(call, inputs, at)? {
            [one] => Ok(*one),
            list => Err(call.form(format!("input {at}"), "one number", list.len().to_string())),
        }
    };
    let (start, limit, delta) = (number(0)?, number(1)?, number(2)?);
    if delta == 0 {
        return Err(call.form("input 2", "a step that is not 0", "0"));
    }
    let distance = i128::from(limit) - i128::from(start);
    let (whole, rest) = (distance / i128::from(delta), distance % i128::from(delta));
    let count = whole + i128::from(rest != 0 && (rest > 0) == (delta > 0));
    let count = usize::try_from(count.max(0)).ok();
    let count = budget.spend(call, count)?;
    let all = (0..count as i64).map(|at| start.wrapping_add(at.wrapping_mul(delta)));
    let all = all.collect();
    Ok(Constant::list(all))
}
