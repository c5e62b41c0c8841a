//! Convolutions and matrix products.

use super::call::Call;
use super::constant::Constant;
use super::error::Result;
use super::view::View;
use super::{Importer, Inputs, image, optional};
use crate::nn::op::{Conv, Op, Shape, kernel_first};

impl Importer<'_> {
    pub(super) fn conv(&mut self, call: &mut Call<'_>, inputs: &Inputs) -> Result<View> {
        let id = self.whole(call, inputs, 0)?;
        let shape = self.graph.shape(id);
        let (weight, sides) = kernel(call, inputs)?;
        let [outputs, _, rows, columns] = sides;
        let (stride, groups) = common(call, [rows, columns])?;
        let padding = padding(call, shape, [rows, columns], stride)?;
        self.budget.spend(call, Some(weight.len()))?;
        let op = Op::Conv(Conv {
            outputs,
            kernel: [rows, columns],
            stride,
            padding,
            groups,
            transposed: false,
            weight: kernel_first(&weight.to_floats(), sides, false).into(),
            bias: self.numbers(call, inputs, 2, outputs)?,
        });
        self.push_image(call, op, &[id])
    }

    pub(super) fn conv_transpose(&mut self, call: &mut Call<'_>, inputs: &Inputs) -> Result<View> {
        let id = self.whole(call, inputs, 0)?;
        let shape = self.graph.shape(id);
        let (weight, sides) = kernel(call, inputs)?;
        let [_, outputs, rows, columns] = sides;
        let (stride, groups) = common(call, [rows, columns])?;
        if groups != 1 {
            return Err(call.form("attribute `group`", "1", groups.to_string()));
        }
        let auto = call.text("auto_pad", "NOTSET")?;
        if !["NOTSET", "VALID"].contains(&auto) {
            return Err(call.form("attribute `auto_pad`", "NOTSET or VALID", auto));
        }
        let mut padding = padding(call, shape, [rows, columns], stride)?;
        let beyond = pair(call, "output_padding", 0)?;
        for (side, beyond) in padding.iter_mut().zip(beyond) {
            side[1] -= beyond as isize;
        }
        self.budget.spend(call, Some(weight.len()))?;
        let op = Op::Conv(Conv {
            outputs,
            kernel: [rows, columns],
            stride,
            padding,
            groups,
            transposed: true,
            weight: kernel_first(&weight.to_floats(), sides, true).into(),
            bias: self.numbers(call, inputs, 2, outputs)?,
        });
        self.push_image(call, op, &[id])
    }

    /// `alpha * A * B + beta * C` of one row for each image: a convolution as large as the image.
    pub(super) fn gemm(&mut self, call: &mut Call<'_>, inputs: &Inputs) -> Result<View> {
        let alpha = call.float("alpha", 1.0)?;
        let beta = call.float("beta", 1.0)?;
        for (name, plain) in [("transA", false), ("transB", true)] {
            let found = call.int(name, 0)?;
            if !(0..=i64::from(plain)).contains(&found) {
                return Err(call.form(format!("attribute `{name}`"), "0", found.to_string()));
            }
        }
        let turned = call.int("transB", 0)? == 1;
        let matrix = self.matrix(call, inputs, turned, alpha)?;
        let outputs = matrix.shape[0];
        let bias = match optional(call, inputs, 2)? {
            None => None,
            Some(bias) => {
                let fits = bias
                    .shape
                    .last()
                    .is_none_or(|side| [1, outputs].contains(side))
                    && [1, outputs].contains(&bias.len());
                if !fits {
                    let found = format!("{:?}", bias.shape);
                    return Err(call.form("input 2", format!("{outputs} numbers"), found));
                }
                let numbers = bias.to_floats();
                self.budget.spend(call, Some(outputs))?;
                let number = |at: usize| numbers.get(if bias.len() == 1 { 0 } else { at });
                let all = (0..outputs).filter_map(|at| number(at).map(|number| number * beta));
                Some(all.collect())
            }
        };
        self.linear(call, image(call, inputs, 0)?, &matrix, bias)
    }

    pub(super) fn matmul(&mut self, call: &mut Call<'_>, inputs: &Inputs) -> Result<View> {
        let view = image(call, inputs, 0)?;
        let matrix = self.matrix(call, inputs, false, 1.0)?;
        let shape = self.graph.shape(view.id);
        // Pixels before channels: one product for each pixel.
        if view.order == [0, 2, 3, 1] && view.is_image(shape, self.batch) {
            let pixel = Shape::vector(shape.channels);
            self.check_features(call, pixel, &matrix)?;
            let outputs = matrix.shape[0];
            let op = Op::Conv(Conv::linear(&matrix.to_floats(), None, outputs, pixel));
            let made = self.push_image(call, op, &[view.id])?;
            let order = view.order.clone();
            return Ok(View { order, ..made });
        }
        self.linear(call, view, &matrix, None)
    }

    /// A matrix as PyTorch keeps that of a linear layer, `[output, input]`.
    fn matrix(
        &mut self,
        call: &Call<'_>,
        inputs: &Inputs,
        turned: bool,
        scale: f32,
    ) -> Result<Constant> {
        let found = optional(call, inputs, 1)?;
        let Some((matrix, [rows, columns])) = found.and_then(|matrix| {
            Some((
                matrix,
                <[usize; 2]>::try_from(matrix.shape.as_slice()).ok()?,
            ))
        }) else {
            let found = found.map_or("none".to_owned(), |matrix| format!("{:?}", matrix.shape));
            return Err(call.form("input 1", "a constant matrix", found));
        };
        // Turned, scaled and laid out anew.
        self.budget.spend(call, matrix.len().checked_mul(2))?;
        let numbers = matrix.to_floats();
        let scaled = |at: usize| numbers.get(at).map(|number| number * scale);
        let (outputs, features) = if turned {
            (rows, columns)
        } else {
            (columns, rows)
        };
        let mut all = Vec::with_capacity(numbers.len());
        for output in 0..outputs {
            for feature in 0..features {
                let at = match turned {
                    true => output * features + feature,
                    false => feature * outputs + output,
                };
                all.extend(scaled(at));
            }
        }
        Ok(Constant::floats(vec![outputs, features], all))
    }

    fn check_features(&self, call: &Call<'_>, shape: Shape, matrix: &Constant) -> Result<()> {
        match matrix.shape.get(1) == Some(&shape.elements()) && matrix.len() > 0 {
            true => Ok(()),
            false => {
                let expected = format!("a matrix for {} features", shape.elements());
                Err(call.form("input 1", expected, format!("{:?}", matrix.shape)))
            }
        }
    }

    /// A linear layer on a batch of rows.
    fn linear(
        &mut self,
        call: &Call<'_>,
        view: &View,
        matrix: &Constant,
        bias: Option<std::sync::Arc<[f32]>>,
    ) -> Result<View> {
        let shape = self.graph.shape(view.id);
        if !view.in_order() || view.inner != [self.batch, shape.elements()] {
            let expected = format!("a row of {} numbers for each image", shape.elements());
            return Err(call.form("input 0", expected, view.to_string()));
        }
        self.check_features(call, shape, matrix)?;
        let outputs = matrix.shape[0];
        let op = Op::Conv(Conv::linear(&matrix.to_floats(), bias, outputs, shape));
        let id = self.push(call, op, &[view.id])?;
        Ok(View::plain(id, vec![self.batch, outputs]))
    }
}

/// A weight of four dimensions.
fn kernel<'v>(call: &Call<'_>, inputs: &'v Inputs) -> Result<(&'v Constant, [usize; 4])> {
    let found = optional(call, inputs, 1)?;
    let sides = found.and_then(|weight| <[usize; 4]>::try_from(weight.shape.as_slice()).ok());
    match (found, sides) {
        (Some(weight), Some(sides)) if weight.len() > 0 => Ok((weight, sides)),
        _ => {
            let found = found.map_or("none".to_owned(), |weight| format!("{:?}", weight.shape));
            Err(call.form("input 1", "a constant of four dimensions", found))
        }
    }
}

/// Checks the kernel and the dilations, and gives the strides and the groups.
fn common(call: &mut Call<'_>, kernel: [usize; 2]) -> Result<([usize; 2], usize)> {
    if let Some(found) = call.ints("kernel_shape")?
        && !found.iter().copied().eq(kernel.map(|side| side as i64))
    {
        let expected = format!("{kernel:?}, the weight's");
        return Err(call.form("attribute `kernel_shape`", expected, format!("{found:?}")));
    }
    if let Some(found) = call.ints("dilations")?
        && found.iter().any(|side| *side != 1)
    {
        return Err(call.form("attribute `dilations`", "1", format!("{found:?}")));
    }
    let groups = call.int("group", 1)?;
    let groups = usize::try_from(groups)
        .map_err(|_| call.form("attribute `group`", "a positive number", groups.to_string()))?;
    Ok((pair(call, "strides", 1)?, groups))
}

/// Two numbers, neither of them negative nor beyond any use.
fn pair(call: &mut Call<'_>, name: &'static str, plain: usize) -> Result<[usize; 2]> {
    let Some(found) = call.ints(name)? else {
        return Ok([plain; 2]);
    };
    let number = |number: &i64| {
        usize::try_from(*number)
            .ok()
            .filter(|number| *number <= 1 << 20)
    };
    let read: Option<Vec<usize>> = found.iter().map(number).collect();
    read.and_then(|read| read.try_into().ok()).ok_or_else(|| {
        let part = format!("attribute `{name}`");
        call.form(
            part,
            "two numbers that are not negative",
            format!("{found:?}"),
        )
    })
}

/// Zeros before the first and after the last row, then column.
fn padding(
    call: &mut Call<'_>,
    shape: Shape,
    kernel: [usize; 2],
    stride: [usize; 2],
) -> Result<[[isize; 2]; 2]> {
    let auto = call.text("auto_pad", "NOTSET")?;
    let pads = call.ints("pads")?;
    match auto {
        "NOTSET" => {
            let Some(pads) = pads else {
                return Ok([[0; 2]; 2]);
            };
            let side = |side: &i64| {
                isize::try_from(*side)
                    .ok()
                    .filter(|side| (0..=1 << 20).contains(side))
            };
            let read: Option<Vec<isize>> = pads.iter().map(side).collect();
            match read.as_deref() {
                Some([top, left, bottom, right]) => Ok([[*top, *bottom], [*left, *right]]),
                _ => {
                    let expected = "four numbers that are not negative";
                    Err(call.form("attribute `pads`", expected, format!("{pads:?}")))
                }
            }
        }
        "VALID" => Ok([[0; 2]; 2]),
        "SAME_UPPER" | "SAME_LOWER" => {
            let size = [shape.height, shape.width];
            Ok([0, 1].map(|axis| {
                let stride = stride[axis].max(1);
                let reach = (size[axis].div_ceil(stride) - 1) * stride + kernel[axis];
                let all = reach.saturating_sub(size[axis]) as isize;
                match auto {
                    "SAME_UPPER" => [all / 2, all - all / 2],
                    _ => [all - all / 2, all / 2],
                }
            }))
        }
        _ => Err(call.form("attribute `auto_pad`", "one of the specification", auto)),
    }
}
