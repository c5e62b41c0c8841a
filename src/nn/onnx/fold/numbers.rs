//! Arithmetic on constants, number by number.

use super::{Inputs, input, list};
use crate::nn::onnx::budget::Budget;
use crate::nn::onnx::call::Call;
use crate::nn::onnx::constant::{Constant, Numbers, broadcast, elements, places};
use crate::nn::onnx::error::Result;

/// Whether an element type of `TensorProto.DataType` has a fraction.
pub(in crate::nn::onnx) fn is_floating(to: i64) -> bool {
    matches!(to, 1 | 10 | 11 | 16 | 17..=20)
}

pub(super) fn cast(constant: &Constant, floating: bool) -> Constant {
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
pub(super) fn spread(
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

pub(super) fn binary(
    call: &mut Call<'_>,
    inputs: Inputs<'_>,
    budget: &mut Budget,
) -> Result<Constant> {
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

pub(super) fn unary(call: &Call<'_>, data: &Constant, budget: &mut Budget) -> Result<Constant> {
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

pub(super) fn choose(call: &Call<'_>, inputs: Inputs<'_>, budget: &mut Budget) -> Result<Constant> {
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
pub(super) fn reduce(call: &mut Call<'_>, inputs: Inputs<'_>) -> Result<Constant> {
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
