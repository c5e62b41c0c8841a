//! Parts of constants, and constants put together.

use super::{Inputs, input, list, sides};
use crate::nn::onnx::budget::Budget;
use crate::nn::onnx::call::Call;
use crate::nn::onnx::constant::{Constant, axis, elements, strides, walk};
use crate::nn::onnx::error::Result;

pub(super) fn concat(
    call: &mut Call<'_>,
    inputs: Inputs<'_>,
    budget: &mut Budget,
) -> Result<Constant> {
    let first = input(call, inputs, 0)?;
    let at = call.int("axis", 0)?;
    let at = axis(call, at, first.shape.len())?;
    let mut parts = Vec::with_capacity(inputs.len());
    let mut shape = first.shape.clone();
    let mut side = 0_usize;
    for index in 0..inputs.len() {
        let part = input(call, inputs, index)?;
        let mut same = part.shape.clone();
        if let (Some(found), Some(wanted)) = (same.get_mut(at), shape.get(at)) {
            side = side.saturating_add(*found);
            *found = *wanted;
        }
        if same != shape {
            let expected = format!("a shape like {shape:?}");
            return Err(call.form(
                format!("input {index}"),
                expected,
                format!("{:?}", part.shape),
            ));
        }
        parts.push(part);
    }
    shape[at] = side;
    budget.spend(call, elements(&shape))?;
    let outer: usize = shape[..at].iter().product();
    let rows = |part: &Constant| part.len().checked_div(outer).unwrap_or(0);
    if parts.iter().all(|part| part.integers().is_some()) {
        let mut all = Vec::new();
        for row in 0..outer {
            for part in &parts {
                let (numbers, count) = (part.integers().unwrap_or_default(), rows(part));
                all.extend_from_slice(&numbers[row * count..(row + 1) * count]);
            }
        }
        return Ok(Constant::ints(shape, all));
    }
    let lists: Vec<_> = parts.iter().map(|part| part.to_floats()).collect();
    let mut all = Vec::new();
    for row in 0..outer {
        for (part, numbers) in parts.iter().zip(&lists) {
            let count = rows(part);
            all.extend_from_slice(&numbers[row * count..(row + 1) * count]);
        }
    }
    Ok(Constant::floats(shape, all))
}

/// The elements of one axis at these places.
pub(super) fn along(
    call: &Call<'_>,
    data: &Constant,
    at: usize,
    picked: &[usize],
    budget: &mut Budget,
) -> Result<Constant> {
    let mut shape = data.shape.clone();
    shape[at] = picked.len();
    budget.spend(call, elements(&shape))?;
    let stride = strides(&data.shape);
    let outer = walk(&shape[..at], &stride[..at]);
    let inner = walk(&shape[at + 1..], &stride[at + 1..]);
    let mut places = Vec::new();
    for outer in &outer {
        for pick in picked {
            places.extend(inner.iter().map(|inner| outer + pick * stride[at] + inner));
        }
    }
    Ok(data.gathered(shape, &places))
}

/// Which places of an axis a slice takes. Ends beyond the axis are its ends.
pub(in crate::nn::onnx) fn sliced(
    call: &Call<'_>,
    start: i64,
    end: i64,
    step: i64,
    side: usize,
) -> Result<Vec<usize>> {
    if step == 0 {
        return Err(call.form("the steps", "none of 0", "0"));
    }
    let size = side as i64;
    let counted = |at: i64| if at < 0 { at.saturating_add(size) } else { at };
    let (lowest, highest) = if step > 0 { (0, size) } else { (-1, size - 1) };
    let (mut at, end) = (
        counted(start).clamp(lowest.max(0), highest.max(0)),
        counted(end).clamp(lowest, highest),
    );
    let mut all = Vec::new();
    while side > 0 && (if step > 0 { at < end } else { at > end }) {
        all.push(at as usize);
        at = at.saturating_add(step);
    }
    Ok(all)
}

pub(super) fn slice(
    call: &mut Call<'_>,
    inputs: Inputs<'_>,
    budget: &mut Budget,
) -> Result<Constant> {
    let mut data = input(call, inputs, 0)?.clone();
    for (at, start, end, step) in slices(call, inputs, data.shape.len())? {
        let picked = sliced(call, start, end, step, data.shape[at])?;
        data = along(call, &data, at, &picked, budget)?;
    }
    Ok(data)
}

/// A slice's axes, starts, ends and steps; input 0 is not looked at.
pub(in crate::nn::onnx) fn slices(
    call: &Call<'_>,
    inputs: Inputs<'_>,
    rank: usize,
) -> Result<Vec<(usize, i64, i64, i64)>> {
    let (starts, ends) = (list(call, inputs, 1)?, list(call, inputs, 2)?);
    let given = |at: usize| inputs.get(at).is_some_and(Option::is_some);
    let count = starts.len();
    let axes = match given(3) {
        true => list(call, inputs, 3)?.to_vec(),
        false => (0..count as i64).collect(),
    };
    let steps = match given(4) {
        true => list(call, inputs, 4)?.to_vec(),
        false => vec![1; count],
    };
    if [ends.len(), axes.len(), steps.len()] != [count; 3] || count > rank {
        return Err(call.form("starts, ends, axes and steps", "as many of each", "others"));
    }
    let mut all = Vec::with_capacity(count);
    for (((at, start), end), step) in axes.iter().zip(starts).zip(ends).zip(&steps) {
        all.push((axis(call, *at, rank)?, *start, *end, *step));
    }
    Ok(all)
}

pub(super) fn split(
    call: &mut Call<'_>,
    inputs: Inputs<'_>,
    budget: &mut Budget,
) -> Result<Vec<Constant>> {
    let data = input(call, inputs, 0)?;
    let at = call.int("axis", 0)?;
    let at = axis(call, at, data.shape.len())?;
    let sizes = split_sizes(call, inputs, data.shape[at])?;
    let mut start = 0;
    let mut parts = Vec::with_capacity(sizes.len());
    for size in sizes {
        let picked: Vec<usize> = (start..start + size).collect();
        parts.push(along(call, data, at, &picked, budget)?);
        start += size;
    }
    Ok(parts)
}

/// The sizes of the parts that an axis is split into: an attribute before operator set 13, then an input, or as many
/// parts as there are outputs.
pub(in crate::nn::onnx) fn split_sizes(
    call: &mut Call<'_>,
    inputs: Inputs<'_>,
    side: usize,
) -> Result<Vec<usize>> {
    let outputs = call.node.outputs.len();
    let given = match call.ints("split")? {
        Some(list) => Some(list.to_vec()),
        None if inputs.get(1).is_some_and(Option::is_some) => Some(list(call, inputs, 1)?.to_vec()),
        None => None,
    };
    let count = call.int("num_outputs", outputs as i64)?;
    let sizes = match given {
        Some(list) => sides(call, &list)?,
        None => {
            let most = side.div_ceil(outputs.max(1));
            let part = |at: usize| most.min(side.saturating_sub(at * most));
            (0..outputs).map(part).collect()
        }
    };
    let whole = sizes
        .iter()
        .try_fold(0_usize, |all, size| all.checked_add(*size));
    if whole != Some(side) || sizes.len() != outputs || count != outputs as i64 {
        let expected = format!("{outputs} parts of an axis of {side}");
        return Err(call.form("the sizes", expected, format!("{sizes:?}")));
    }
    Ok(sizes)
}

pub(super) fn gather(
    call: &mut Call<'_>,
    inputs: Inputs<'_>,
    budget: &mut Budget,
) -> Result<Constant> {
    let data = input(call, inputs, 0)?;
    let at = call.int("axis", 0)?;
    let at = axis(call, at, data.shape.len())?;
    let side = data.shape[at];
    let indices = input(call, inputs, 1)?;
    let mut picked = Vec::with_capacity(indices.len());
    for index in list(call, inputs, 1)? {
        let counted = if *index < 0 {
            index.saturating_add(side as i64)
        } else {
            *index
        };
        let place = usize::try_from(counted).ok().filter(|place| *place < side);
        picked.push(place.ok_or_else(|| {
            call.form(
                "input 1",
                format!("indices below {side}"),
                index.to_string(),
            )
        })?);
    }
    let mut shape = data.shape.clone();
    shape.splice(at..=at, indices.shape.iter().copied());
    let taken = along(call, data, at, &picked, budget)?;
    Ok(taken.reshaped(shape))
}
