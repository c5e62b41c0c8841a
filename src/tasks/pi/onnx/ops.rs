//! Operators of the standard domain, as far as skl2onnx writes them for scalers and classifiers.

use super::node::{Node, Wrong};
use super::value::{Data, Precision, Value};

/// More numbers than any step of a classifier gives for one batch of rows.
pub(super) const MOST: usize = 1 << 24;

/// What is done to two numbers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Binary {
    Add,
    Sub,
    Mul,
    Div,
}

/// What is done to a number.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unary {
    Abs,
    Sqrt,
    Sigmoid,
}

/// How the numbers of a row, a column or all become one.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reduction {
    Sum,
    SumOfSquares,
}

impl Binary {
    fn of(self, a: f64, b: f64) -> f64 {
        match self {
            Self::Add => a + b,
            Self::Sub => a - b,
            Self::Mul => a * b,
            Self::Div => a / b,
        }
    }
}

/// Two arrays, element by element, a dimension of 1 as often as the other has it (numpy's broadcasting).
pub(super) fn binary(op: Binary, a: &Value, b: &Value) -> Result<Value, Wrong> {
    let (precision, left, right) = match (&a.data, &b.data) {
        (Data::Reals(p, left), Data::Reals(q, right)) if p == q => (*p, left, right),
        _ => return Err(Wrong::types(&[a, b])),
    };
    let dimensions = a.shape.len().max(b.shape.len());
    let ((rows_a, columns_a), (rows_b, columns_b)) = (a.matrix(), b.matrix());
    let (Some(rows), Some(columns)) = (common(rows_a, rows_b), common(columns_a, columns_b)) else {
        return Err(Wrong::shapes("shapes that fit together", &[a, b]));
    };
    check_size(rows, columns)?;
    let place = |row: usize, column: usize, rows: usize, columns: usize| {
        let row = if rows == 1 { 0 } else { row };
        row * columns + if columns == 1 { 0 } else { column }
    };
    let mut numbers = Vec::with_capacity(rows * columns);
    for row in 0..rows {
        for column in 0..columns {
            let x = left.get(place(row, column, rows_a, columns_a));
            let y = right.get(place(row, column, rows_b, columns_b));
            let (Some(x), Some(y)) = (x, y) else {
                return Err(Wrong::shapes("shapes that fit together", &[a, b]));
            };
            numbers.push(precision.round(op.of(*x, *y)));
        }
    }
    let shape = match dimensions {
        0 => vec![],
        1 => vec![columns],
        _ => vec![rows, columns],
    };
    Ok(Value::reals(shape, precision, numbers))
}

fn common(a: usize, b: usize) -> Option<usize> {
    match (a, b) {
        (1, size) | (size, 1) => Some(size),
        (a, b) => (a == b).then_some(a),
    }
}

/// Fails if a result of this size is larger than any classifier's.
pub(super) fn check_size(rows: usize, columns: usize) -> Result<(), Wrong> {
    match rows.checked_mul(columns).is_some_and(|size| size <= MOST) {
        true => Ok(()),
        false => Err(Wrong::TooLarge),
    }
}

/// An array, element by element.
pub(super) fn unary(op: Unary, value: &Value) -> Result<Value, Wrong> {
    let (precision, numbers) = reals(value)?;
    let done = numbers.iter().map(|x| {
        precision.round(match op {
            Unary::Abs => x.abs(),
            Unary::Sqrt => x.sqrt(),
            Unary::Sigmoid => logistic(*x),
        })
    });
    Ok(Value::reals(value.shape.clone(), precision, done.collect()))
}

/// `1 / (1 + exp(-x))`
pub(super) fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The numbers of a value that must be floats.
pub(super) fn reals(value: &Value) -> Result<(Precision, &[f64]), Wrong> {
    match &value.data {
        Data::Reals(precision, numbers) => Ok((*precision, numbers)),
        _ => Err(Wrong::types(&[value])),
    }
}

/// Clips to bounds that are numbers of their own, each of which may be left out.
pub(super) fn clip(
    value: &Value,
    low: Option<&Value>,
    high: Option<&Value>,
) -> Result<Value, Wrong> {
    let (precision, numbers) = reals(value)?;
    let bound = |bound: Option<&Value>, default: f64| match bound {
        None => Ok(default),
        Some(bound) => match reals(bound)?.1 {
            [number] => Ok(*number),
            _ => Err(Wrong::shapes("a bound that is one number", &[bound])),
        },
    };
    let low = bound(low, f64::NEG_INFINITY)?;
    let high = bound(high, f64::INFINITY)?;
    let clipped = numbers.iter().map(|x| match x.is_nan() {
        true => *x,
        false => x.max(low).min(high),
    });
    Ok(Value::reals(
        value.shape.clone(),
        precision,
        clipped.collect(),
    ))
}

/// `[rows, n] x [n, columns]`; each sum is rounded once.
pub(super) fn matmul(a: &Value, b: &Value) -> Result<Value, Wrong> {
    let (precision, left) = reals(a)?;
    let (other, right) = reals(b)?;
    let ([rows, inner], [inner_b, columns]) = (a.shape.as_slice(), b.shape.as_slice()) else {
        return Err(Wrong::shapes("two matrices", &[a, b]));
    };
    if precision != other {
        return Err(Wrong::types(&[a, b]));
    }
    if inner != inner_b {
        return Err(Wrong::shapes("shapes that fit together", &[a, b]));
    }
    check_size(*rows, *columns)?;
    let mut numbers = vec![0.0; rows * columns];
    for row in 0..*rows {
        for column in 0..*columns {
            let mut sum = 0.0;
            for index in 0..*inner {
                let x = left.get(row * inner + index).copied().unwrap_or_default();
                let y = right
                    .get(index * columns + column)
                    .copied()
                    .unwrap_or_default();
                sum += x * y;
            }
            if let Some(number) = numbers.get_mut(row * columns + column) {
                *number = precision.round(sum);
            }
        }
    }
    Ok(Value::reals(vec![*rows, *columns], precision, numbers))
}

/// The sum of each row, as a column if `keep`, otherwise as a list.
pub(super) fn reduce(op: Reduction, value: &Value, keep: bool) -> Result<Value, Wrong> {
    let (precision, numbers) = reals(value)?;
    let [rows, columns] = *value.shape else {
        return Err(Wrong::shapes("a matrix", &[value]));
    };
    let term = |x: &f64| match op {
        Reduction::Sum => *x,
        Reduction::SumOfSquares => x * x,
    };
    let mut sums = Vec::with_capacity(rows);
    for row in 0..rows {
        let row = numbers.get(row * columns..(row + 1) * columns);
        sums.push(precision.round(row.unwrap_or_default().iter().map(term).sum()));
    }
    let shape = if keep { vec![rows, 1] } else { vec![rows] };
    Ok(Value::reals(shape, precision, sums))
}

/// The softmax of each row.
pub(super) fn softmax(value: &Value) -> Result<Value, Wrong> {
    let (precision, numbers) = reals(value)?;
    let mut numbers = numbers.to_vec();
    for row in numbers.chunks_mut(value.matrix().1.max(1)) {
        softmax_row(row, precision);
    }
    Ok(Value::reals(value.shape.clone(), precision, numbers))
}

/// The softmax of a row, in place: from the largest number, so that nothing overflows.
pub(super) fn softmax_row(row: &mut [f64], precision: Precision) {
    let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    for x in row.iter_mut() {
        *x = precision.round(precision.round(*x - most).exp());
    }
    let sum = precision.round(row.iter().sum());
    for x in row {
        *x = precision.round(*x / sum);
    }
}

/// The place of the largest number of each row, the first of several.
pub(super) fn arg_max(value: &Value, keep: bool) -> Result<Value, Wrong> {
    let (_, numbers) = reals(value)?;
    let [rows, columns] = *value.shape else {
        return Err(Wrong::shapes("a matrix", &[value]));
    };
    let rows_of = numbers.chunks_exact(columns.max(1));
    let places: Vec<i64> = rows_of
        .map(|row| super::super::first_largest(row) as i64)
        .collect();
    let shape = if keep { vec![rows, 1] } else { vec![rows] };
    Ok(Value::ints(shape, places))
}

/// The same elements in another shape: -1 is whatever is left, 0 the size that was there.
pub(super) fn reshape(value: &Value, wanted: &[i64]) -> Result<Value, Wrong> {
    let wrong = || Wrong::shapes(&format!("a value that has the shape {wanted:?}"), &[value]);
    if wanted.len() > 2 {
        return Err(wrong());
    }
    let count = value.data.len();
    let mut shape = Vec::with_capacity(wanted.len());
    let mut open = None;
    for (index, size) in wanted.iter().enumerate() {
        shape.push(match *size {
            0 => *value.shape.get(index).ok_or_else(wrong)?,
            -1 if open.is_none() => {
                open = Some(index);
                1
            }
            size => usize::try_from(size).map_err(|_| wrong())?,
        });
    }
    let known = shape
        .iter()
        .try_fold(1_usize, |all, size| all.checked_mul(*size));
    let known = known.ok_or_else(wrong)?;
    if let Some(place) = open.and_then(|open| shape.get_mut(open)) {
        *place = count.checked_div(known).unwrap_or(0);
    }
    match shape
        .iter()
        .try_fold(1_usize, |all, size| all.checked_mul(*size))
        == Some(count)
    {
        true => Ok(Value {
            shape,
            data: value.data.clone(),
        }),
        false => Err(wrong()),
    }
}

/// Columns `start..end` of a matrix.
pub(super) fn columns(value: &Value, start: i64, end: i64) -> Result<Value, Wrong> {
    let [rows, columns] = *value.shape else {
        return Err(Wrong::shapes("a matrix", &[value]));
    };
    let place = |at: i64| match at < 0 {
        true => columns.saturating_sub(at.unsigned_abs() as usize),
        false => columns.min(at as usize),
    };
    let (start, end) = (place(start), place(end).max(place(start)));
    let places = (0..rows).flat_map(|row| (start..end).map(move |column| row * columns + column));
    Ok(Value {
        shape: vec![rows, end - start],
        data: value.data.pick(places),
    })
}

/// Matrices side by side.
pub(super) fn concat(values: &[&Value]) -> Result<Value, Wrong> {
    let wrong = || Wrong::shapes("matrices with as many rows as each other", values);
    let mut parts = Vec::with_capacity(values.len());
    let mut shared = None;
    for value in values {
        let (precision, numbers) = reals(value)?;
        let [rows, columns] = *value.shape else {
            return Err(wrong());
        };
        if *shared.get_or_insert((rows, precision)) != (rows, precision) {
            return Err(wrong());
        }
        parts.push((columns, numbers));
    }
    let (rows, precision) = shared.ok_or_else(wrong)?;
    let width: usize = parts.iter().map(|(columns, _)| columns).sum();
    check_size(rows, width)?;
    let mut numbers = Vec::with_capacity(rows * width);
    for row in 0..rows {
        for (columns, part) in &parts {
            let row = part.get(row * columns..(row + 1) * columns);
            numbers.extend_from_slice(row.ok_or_else(wrong)?);
        }
    }
    Ok(Value::reals(vec![rows, width], precision, numbers))
}

/// Elements as another type.
pub(super) fn cast(value: &Value, to: Cast) -> Result<Value, Wrong> {
    let data = match (&value.data, to) {
        (Data::Reals(_, numbers), Cast::Real(precision)) => Data::Reals(
            precision,
            numbers.iter().map(|x| precision.round(*x)).collect(),
        ),
        (Data::Ints(numbers), Cast::Real(precision)) => Data::Reals(
            precision,
            numbers.iter().map(|x| precision.round(*x as f64)).collect(),
        ),
        (Data::Reals(_, numbers), Cast::Int) => {
            Data::Ints(numbers.iter().map(|x| *x as i64).collect())
        }
        (same @ Data::Ints(_), Cast::Int) | (same @ Data::Texts(_), Cast::Text) => same.clone(),
        _ => return Err(Wrong::types(&[value])),
    };
    Ok(Value {
        shape: value.shape.clone(),
        data,
    })
}

/// What elements become.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cast {
    Real(Precision),
    Int,
    Text,
}

impl Cast {
    /// By the numbers of `TensorProto.DataType`; 32 bits of an integer are kept as 64.
    pub fn to(node: &Node) -> Result<Self, crate::tasks::pi::PiError> {
        match node.int("to", 0)? {
            1 => Ok(Self::Real(Precision::Single)),
            11 => Ok(Self::Real(Precision::Double)),
            6 | 7 => Ok(Self::Int),
            8 => Ok(Self::Text),
            other => Err(node.unsupported(
                format!("to type {other}"),
                "to float, double, int32, int64 and string are",
            )),
        }
    }
}

/// The elements of each row at these places; of a single row, its elements as a row.
pub(super) fn extract(value: &Value, places: &Value) -> Result<Value, Wrong> {
    let Data::Ints(places) = &places.data else {
        return Err(Wrong::types(&[places]));
    };
    let (rows, columns) = value.matrix();
    let mut found = Vec::with_capacity(places.len());
    for place in places {
        match usize::try_from(*place) {
            Ok(place) if place < columns => found.push(place),
            _ => {
                let expected = format!("places below {columns}");
                return Err(Wrong::other(expected, place.to_string()));
            }
        }
    }
    check_size(rows, found.len())?;
    let count = found.len();
    let all = (0..rows).flat_map(|row| found.iter().map(move |place| row * columns + place));
    Ok(Value {
        shape: vec![rows, count],
        data: value.data.pick(all),
    })
}
