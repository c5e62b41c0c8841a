//! Operators on constants alone, as exporters write them to compute sizes: the image's shape is known, so all of these
//! are computed when a model is read.
//!
//! Source: the ONNX operator specifications, operator sets 11 to 20.

use super::budget::Budget;
use super::call::Call;
use super::constant::{Constant, Numbers, axis, broadcast, elements, places, strides, walk};
use super::error::Result;

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

/// Whether an element type of `TensorProto.DataType` has a fraction.
pub(super) fn is_floating(to: i64) -> bool {
    matches!(to, 1 | 10 | 11 | 16 | 17..=20)
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

fn cast(constant: &Constant, floating: bool) -> Constant {
    let shape = constant.shape.clone();
    match (&constant.numbers, floating) {
        (Numbers::Ints(numbers), true) => {
            Constant::floats(shape, numbers.iter().map(|number| *number as f32).collect())
        }
        (Numbers::Floats(numbers), false) => {
            Constant::ints(shape, numbers.iter().map(|number| *number as i64).collect())
        }
        _ => constant.clone(),
    }
}

/// A constant broadcast to a shape.
fn spread(
    call: &Call<'_>,
    data: &Constant,
    shape: Vec<usize>,
    budget: &mut Budget,
) -> Result<Constant> {
    if data.shape == shape {
        return Ok(data.clone());
    }
    budget.spend(call, elements(&shape))?;
    let places = places(&data.shape, &shape);
    Ok(data.gathered(shape, &places))
}

fn binary(call: &mut Call<'_>, inputs: Inputs<'_>, budget: &mut Budget) -> Result<Constant> {
    let fmod = call.int("fmod", 0)? != 0;
    let (a, b) = (input(call, inputs, 0)?, input(call, inputs, 1)?);
    if inputs.len() != 2 {
        return Err(call.form("inputs", "2", inputs.len().to_string()));
    }
    let shape = broadcast(&a.shape, &b.shape).ok_or_else(|| {
        let expected = format!("a shape that fits {:?}", a.shape);
        call.form("input 1", expected, format!("{:?}", b.shape))
    })?;
    let a = spread(call, a, shape.clone(), budget)?;
    let b = spread(call, b, shape.clone(), budget)?;
    budget.spend(call, elements(&shape))?;
    let truth = matches!(call.op(), "Equal" | "Less" | "Greater" | "And" | "Or");
    if let (Some(a), Some(b)) = (a.integers(), b.integers()) {
        let pairs = a.iter().zip(b);
        let all: Option<Vec<i64>> = pairs
            .map(|(a, b)| of_ints(call.op(), *a, *b, fmod))
            .collect();
        let all = all.ok_or_else(|| call.form("input 1", "a result in 64 bits", "none"))?;
        return Ok(Constant::ints(shape, all));
    }
    let (a, b) = (a.to_floats(), b.to_floats());
    let pairs = a.iter().zip(b.iter());
    let all: Vec<f32> = pairs
        .map(|(a, b)| of_floats(call.op(), *a, *b, fmod))
        .collect();
    Ok(match truth {
        true => Constant::ints(shape, all.iter().map(|truth| *truth as i64).collect()),
        false => Constant::floats(shape, all),
    })
}

/// `None` where the result does not fit, or there is none.
fn of_ints(op: &str, a: i64, b: i64, fmod: bool) -> Option<i64> {
    match op {
        "Add" => a.checked_add(b),
        "Sub" => a.checked_sub(b),
        "Mul" => a.checked_mul(b),
        "Div" => a.checked_div(b),
        "Mod" if fmod => a.checked_rem(b),
        // The sign is the divisor's, as in Python.
        "Mod" => {
            let rest = a.checked_rem(b)?;
            Some(if rest != 0 && (rest < 0) != (b < 0) {
                rest + b
            } else {
                rest
            })
        }
        "Pow" => a.checked_pow(u32::try_from(b).ok()?),
        "Min" => Some(a.min(b)),
        "Max" => Some(a.max(b)),
        "Equal" => Some((a == b).into()),
        "Less" => Some((a < b).into()),
        "Greater" => Some((a > b).into()),
        "And" => Some((a != 0 && b != 0).into()),
        _ => Some((a != 0 || b != 0).into()),
    }
}

fn of_floats(op: &str, a: f32, b: f32, fmod: bool) -> f32 {
    let truth = |truth: bool| f32::from(u8::from(truth));
    match op {
        "Add" => a + b,
        "Sub" => a - b,
        "Mul" => a * b,
        "Div" => a / b,
        "Mod" if fmod => a % b,
        "Mod" => a - b * (a / b).floor(),
        "Pow" => a.powf(b),
        "Min" => a.min(b),
        "Max" => a.max(b),
        "Equal" => truth(a == b),
        "Less" => truth(a < b),
        "Greater" => truth(a > b),
        "And" => truth(a != 0.0 && b != 0.0),
        _ => truth(a != 0.0 || b != 0.0),
    }
}

fn unary(call: &Call<'_>, data: &Constant, budget: &mut Budget) -> Result<Constant> {
    budget.spend(call, Some(data.len()))?;
    let shape = data.shape.clone();
    if let Some(numbers) = data.integers() {
        let of = |number: &i64| match call.op() {
            "Neg" => number.checked_neg(),
            "Abs" => number.checked_abs(),
            "Not" => Some((*number == 0).into()),
            _ => None,
        };
        let all: Option<Vec<i64>> = numbers.iter().map(of).collect();
        let all = all.ok_or_else(|| call.form("input 0", "numbers with a fraction", "integers"))?;
        return Ok(Constant::ints(shape, all));
    }
    let of = |number: &f32| match call.op() {
        "Floor" => number.floor(),
        "Ceil" => number.ceil(),
        "Round" => number.round_ties_even(),
        "Neg" => -number,
        "Abs" => number.abs(),
        "Sqrt" => number.sqrt(),
        "Reciprocal" => number.recip(),
        "Exp" => number.exp(),
        _ => f32::from(u8::from(*number == 0.0)),
    };
    let all = data.to_floats().iter().map(of).collect();
    Ok(Constant::floats(shape, all))
}

fn concat(call: &mut Call<'_>, inputs: Inputs<'_>, budget: &mut Budget) -> Result<Constant> {
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
fn along(
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
pub(super) fn sliced(
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

fn slice(call: &mut Call<'_>, inputs: Inputs<'_>, budget: &mut Budget) -> Result<Constant> {
    let mut data = input(call, inputs, 0)?.clone();
    for (at, start, end, step) in slices(call, inputs, data.shape.len())? {
        let picked = sliced(call, start, end, step, data.shape[at])?;
        data = along(call, &data, at, &picked, budget)?;
    }
    Ok(data)
}

/// A slice's axes, starts, ends and steps; input 0 is not looked at.
pub(super) fn slices(
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

fn split(call: &mut Call<'_>, inputs: Inputs<'_>, budget: &mut Budget) -> Result<Vec<Constant>> {
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
pub(super) fn split_sizes(
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

fn gather(call: &mut Call<'_>, inputs: Inputs<'_>, budget: &mut Budget) -> Result<Constant> {
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

/// The shape that `Reshape` asks for: 0 is the side that was there (unless `allowzero`), and -1 what is left.
pub(super) fn reshape_target(
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
pub(super) fn axes(call: &mut Call<'_>, inputs: Inputs<'_>) -> Result<Option<Vec<i64>>> {
    if let Some(axes) = call.ints("axes")? {
        return Ok(Some(axes.to_vec()));
    }
    match inputs.get(1).is_some_and(Option::is_some) {
        true => Ok(Some(list(call, inputs, 1)?.to_vec())),
        false => Ok(None),
    }
}

/// The shape that `Flatten`, `Squeeze` or `Unsqueeze` makes.
pub(super) fn resized(
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
pub(super) fn permutation(call: &mut Call<'_>, rank: usize) -> Result<Vec<usize>> {
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

fn transpose(call: &mut Call<'_>, data: &Constant, budget: &mut Budget) -> Result<Constant> {
    let order = permutation(call, data.shape.len())?;
    budget.spend(call, Some(data.len()))?;
    let from = strides(&data.shape);
    let shape: Vec<usize> = order.iter().map(|at| data.shape[*at]).collect();
    let stride: Vec<usize> = order.iter().map(|at| from[*at]).collect();
    let places = walk(&shape, &stride);
    Ok(data.gathered(shape, &places))
}

fn tile(call: &Call<'_>, inputs: Inputs<'_>, budget: &mut Budget) -> Result<Constant> {
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

fn constant_of_shape(
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

fn range(call: &Call<'_>, inputs: Inputs<'_>, budget: &mut Budget) -> Result<Constant> {
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

fn choose(call: &Call<'_>, inputs: Inputs<'_>, budget: &mut Budget) -> Result<Constant> {
    let condition = input(call, inputs, 0)?;
    let (yes, no) = (input(call, inputs, 1)?, input(call, inputs, 2)?);
    let shape =
        broadcast(&condition.shape, &yes.shape).and_then(|shape| broadcast(&shape, &no.shape));
    let shape = shape.ok_or_else(|| call.form("inputs", "shapes that fit each other", "others"))?;
    let condition = spread(call, condition, shape.clone(), budget)?;
    let yes = spread(call, yes, shape.clone(), budget)?;
    let no = spread(call, no, shape.clone(), budget)?;
    budget.spend(call, elements(&shape))?;
    let chosen = condition.to_floats();
    if let (Some(yes), Some(no)) = (yes.integers(), no.integers()) {
        let all = chosen.iter().zip(yes.iter().zip(no));
        let all = all.map(|(chosen, (yes, no))| if *chosen != 0.0 { *yes } else { *no });
        return Ok(Constant::ints(shape, all.collect()));
    }
    let (yes, no) = (yes.to_floats(), no.to_floats());
    let all = chosen.iter().zip(yes.iter().zip(no.iter()));
    let all = all.map(|(chosen, (yes, no))| if *chosen != 0.0 { *yes } else { *no });
    Ok(Constant::floats(shape, all.collect()))
}

/// A reduction of a list of integers to one number.
fn reduce(call: &mut Call<'_>, inputs: Inputs<'_>) -> Result<Constant> {
    call.ignore(&["axes", "noop_with_empty_axes"]);
    let keep = call.int("keepdims", 1)? != 0;
    let data = input(call, inputs, 0)?;
    if data.shape.len() > 1 {
        return Err(call.form("input 0", "a list", format!("{:?}", data.shape)));
    }
    let numbers = list(call, inputs, 0)?;
    let mut all = numbers.iter();
    let result = match call.op() {
        "ReduceProd" => all.try_fold(1_i64, |all, one| all.checked_mul(*one)),
        "ReduceSum" => all.try_fold(0_i64, |all, one| all.checked_add(*one)),
        "ReduceMin" => all.min().copied(),
        _ => all.max().copied(),
    };
    let result = result.ok_or_else(|| call.form("input 0", "a result in 64 bits", "none"))?;
    let shape = if keep {
        vec![1; data.shape.len()]
    } else {
        Vec::new()
    };
    Ok(Constant::ints(shape, vec![result]))
}
