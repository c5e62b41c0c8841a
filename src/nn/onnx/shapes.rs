//! Operators that move numbers: slices, concatenations, padding, and other ways to see the same numbers.

use std::sync::Arc;

use super::call::Call;
use super::constant::{axis, broadcast};
use super::error::Result;
use super::view::View;
use super::{Importer, Inputs, constants, fold, image, optional};
use crate::nn::op::{Conv, Op};

impl Importer<'_> {
    pub(super) fn split(&mut self, call: &mut Call<'_>, inputs: &Inputs) -> Result<Vec<View>> {
        let view = image(call, inputs, 0)?;
        let at = call.int("axis", 0)?;
        let at = axis(call, at, view.order.len())?;
        let sizes = fold::split_sizes(call, &constants(inputs), view.dims()[at])?;
        let mut start = 0;
        let mut parts = Vec::with_capacity(sizes.len());
        for size in sizes {
            parts.push(self.part(call, view, at, start, size)?);
            start += size;
        }
        Ok(parts)
    }

    /// Into parts of one size, the last perhaps smaller, or of the sizes of a list.
    pub(super) fn split_to_sequence(
        &mut self,
        call: &mut Call<'_>,
        inputs: &Inputs,
    ) -> Result<Vec<View>> {
        let view = image(call, inputs, 0)?;
        let at = call.int("axis", 0)?;
        let at = axis(call, at, view.order.len())?;
        let side = view.dims()[at];
        call.ignore(&["keepdims"]);
        let split = optional(call, inputs, 1)?;
        let list = split.and_then(|split| split.integers()).unwrap_or_default();
        let sizes: Vec<usize> = match (split.map(|split| split.shape.len()), list) {
            (Some(0), [size]) if *size > 0 => {
                let size = usize::try_from(*size).unwrap_or(side).min(side.max(1));
                let starts = (0..side).step_by(size);
                starts.map(|start| size.min(side - start)).collect()
            }
            (Some(1), list) => fold::sides(call, list)?,
            _ => {
                return Err(call.form(
                    "input 1",
                    "a size, or a list of sizes",
                    format!("{list:?}"),
                ));
            }
        };
        let whole = sizes
            .iter()
            .try_fold(0_usize, |all, size| all.checked_add(*size));
        if whole != Some(side) {
            let expected = format!("parts of an axis of {side}");
            return Err(call.form("input 1", expected, format!("{list:?}")));
        }
        let mut start = 0;
        let mut parts = Vec::with_capacity(sizes.len());
        for size in sizes {
            parts.push(self.part(call, view, at, start, size)?);
            start += size;
        }
        Ok(parts)
    }

    pub(super) fn slice(&mut self, call: &mut Call<'_>, inputs: &Inputs) -> Result<View> {
        let mut view = image(call, inputs, 0)?.clone();
        let all = fold::slices(call, &constants(inputs), view.order.len())?;
        for (at, start, end, step) in all {
            if step != 1 {
                return Err(call.form("the steps", "1", step.to_string()));
            }
            let size = view.dims()[at];
            let counted = |place: i64| {
                let place = if place < 0 {
                    place.saturating_add(size as i64)
                } else {
                    place
                };
                place.clamp(0, size as i64) as usize
            };
            let (start, end) = (counted(start), counted(end));
            view = self.part(call, &view, at, start, end.saturating_sub(start))?;
        }
        Ok(view)
    }

    /// A list of neighbouring channels.
    pub(super) fn gather(&mut self, call: &mut Call<'_>, inputs: &Inputs) -> Result<View> {
        let view = image(call, inputs, 0)?;
        let at = call.int("axis", 0)?;
        let at = axis(call, at, view.order.len())?;
        let size = view.dims()[at] as i64;
        let found = optional(call, inputs, 1)?;
        let list = found.filter(|list| list.shape.len() == 1);
        let indices = list.and_then(|list| list.integers()).unwrap_or_default();
        let counted = indices
            .iter()
            .map(|index| if *index < 0 { index + size } else { *index });
        let counted: Vec<i64> = counted.collect();
        let neighbours = counted
            .windows(2)
            .all(|pair| pair[0].checked_add(1) == Some(pair[1]));
        let start = counted
            .first()
            .and_then(|start| usize::try_from(*start).ok());
        match start {
            Some(start) if neighbours => self.part(call, view, at, start, counted.len()),
            _ => {
                let found = found.map_or("none".to_owned(), |found| match found.integers() {
                    Some(list) if list.len() <= 8 => format!("{list:?} of shape {:?}", found.shape),
                    _ => format!("{} indices", found.len()),
                });
                Err(call.form("input 1", "a list of neighbouring indices", found))
            }
        }
    }

    /// A part of one axis: of channels any, of rows and columns the first.
    fn part(
        &mut self,
        call: &Call<'_>,
        view: &View,
        at: usize,
        start: usize,
        size: usize,
    ) -> Result<View> {
        let whole = view.dims()[at];
        if (start, size) == (0, whole) {
            return Ok(view.clone());
        }
        let shape = self.graph.shape(view.id);
        let known = view.is_image(shape, self.batch);
        let op = match view.order[at] {
            1 if view.has_channels(shape, self.batch) => Op::Channels {
                start,
                channels: size,
            },
            2 if known && start == 0 => Op::Crop {
                height: size,
                width: shape.width,
            },
            3 if known && start == 0 => Op::Crop {
                height: shape.height,
                width: size,
            },
            _ => {
                let expected = "channels, or the first rows and columns";
                let found = format!("{size} from {start} on, of axis {at} of {view}");
                return Err(call.form("the part", expected, found));
            }
        };
        let mut made = self.keep(call, op, view)?;
        made.inner[view.order[at]] = size;
        Ok(made)
    }

    pub(super) fn concat(&mut self, call: &mut Call<'_>, inputs: &Inputs) -> Result<View> {
        let first = image(call, inputs, 0)?.clone();
        let at = call.int("axis", 1)?;
        let at = axis(call, at, first.order.len())?;
        let mut ids = Vec::with_capacity(inputs.len());
        for index in 0..inputs.len() {
            let view = image(call, inputs, index)?;
            let shape = self.graph.shape(view.id);
            let channels = view.channel_axis(shape, self.batch);
            if channels != Some(at) || view.order != first.order {
                let part = format!("input {index}");
                return Err(call.form(
                    part,
                    "images that are joined by channels",
                    format!("{view} by axis {at}"),
                ));
            }
            ids.push(view.id);
        }
        if ids.len() == 1 {
            return Ok(first);
        }
        let id = self.push(call, Op::Concat, &ids)?;
        let mut inner = first.inner.clone();
        inner[1] = self.graph.shape(id).channels;
        Ok(View {
            id,
            inner,
            order: first.order,
        })
    }

    /// PyTorch's pixel shuffle is the mode CRD; in DCR, channels come in another order, which a matrix restores.
    pub(super) fn depth_to_space(&mut self, call: &mut Call<'_>, inputs: &Inputs) -> Result<View> {
        let mode = call.text("mode", "DCR")?;
        let factor = call.int("blocksize", 0)?;
        let mut id = self.whole(call, inputs, 0)?;
        let channels = self.graph.shape(id).channels;
        let Some(factor) = usize::try_from(factor)
            .ok()
            .filter(|factor| (1..=1 << 10).contains(factor))
        else {
            return Err(call.form("attribute `blocksize`", "1 to 1024", factor.to_string()));
        };
        match mode {
            "CRD" => {}
            "DCR" if channels.is_multiple_of(factor * factor) => {
                self.budget.spend(call, channels.checked_mul(channels))?;
                let square = factor * factor;
                let left = channels / square;
                let mut weight = vec![0.0; channels * channels];
                for output in 0..channels {
                    let from = output % square * left + output / square;
                    weight[from * channels + output] = 1.0;
                }
                id = self.push(call, Op::Conv(point(weight.into(), channels)), &[id])?;
            }
            "DCR" => {
                let expected = format!("channels divisible by {}", factor * factor);
                return Err(call.form("input 0", expected, channels.to_string()));
            }
            _ => return Err(call.form("attribute `mode`", "DCR or CRD", mode)),
        }
        self.push_image(call, Op::PixelShuffle { factor }, &[id])
    }

    /// Zeros around; a negative number cuts away.
    pub(super) fn pad(&mut self, call: &mut Call<'_>, inputs: &Inputs) -> Result<View> {
        let mode = call.text("mode", "constant")?;
        if mode != "constant" {
            return Err(call.form("attribute `mode`", "constant", mode));
        }
        let value = optional(call, inputs, 2)?.map_or(Some(0.0), |value| value.uniform());
        if value != Some(0.0) {
            return Err(call.form("input 2", "0", format!("{value:?}")));
        }
        let id = self.whole(call, inputs, 0)?;
        let shape = self.graph.shape(id);
        let rank = image(call, inputs, 0)?.order.len();
        let sides = pads(call, inputs, rank)?;
        let [none, channels, [top, bottom], [left, right]] = sides;
        if [none, channels] != [[0, 0]; 2] || top < 0 || left < 0 {
            let expected = "padding of rows and columns, and cuts only at their ends";
            return Err(call.form("input 1", expected, format!("{sides:?}")));
        }
        let id = match (top, left) {
            (0, 0) => id,
            _ => self.pad_before(call, id, [top, left])?,
        };
        let [height, width] = [(shape.height, top, bottom), (shape.width, left, right)]
            .map(|(size, before, after)| (size as i64 + before, after));
        let cut = |(size, after): (i64, i64)| (size + after.min(0)).max(0) as usize;
        let op = Op::Crop {
            height: cut(height),
            width: cut(width),
        };
        let id = match bottom < 0 || right < 0 {
            true => self.push(call, op, &[id])?,
            false => id,
        };
        let (bottom, right) = (bottom.max(0) as usize, right.max(0) as usize);
        let id = match bottom + right {
            0 => id,
            _ => self.push(call, Op::Pad { bottom, right }, &[id])?,
        };
        Ok(View::image(id, self.graph.shape(id), self.batch))
    }

    /// Zeros above and at the left: a convolution of each channel with 1.
    fn pad_before(
        &mut self,
        call: &Call<'_>,
        id: super::ValueId,
        [top, left]: [i64; 2],
    ) -> Result<super::ValueId> {
        let channels = self.graph.shape(id).channels;
        self.budget.spend(call, Some(channels))?;
        let op = Op::Conv(Conv {
            groups: channels,
            padding: [[top as isize, 0], [left as isize, 0]],
            ..point(vec![1.0; channels].into(), channels)
        });
        self.push(call, op, &[id])
    }

    /// Other sides for the same numbers; only a pixel shuffle moves any.
    pub(super) fn reshape(&mut self, call: &mut Call<'_>, inputs: &Inputs) -> Result<View> {
        let view = image(call, inputs, 0)?;
        let dims = view.dims();
        let all = constants(inputs);
        let target = match call.op() {
            "Reshape" => {
                let target = fold::list(call, &all, 1)?;
                fold::reshape_target(call, &dims, target)?
            }
            _ => {
                let axes = fold::axes(call, &all)?;
                fold::resized(call, &dims, axes.as_deref())?
            }
        };
        if target == dims {
            return Ok(view.clone());
        }
        if view.in_order() {
            return Ok(View::plain(view.id, target));
        }
        let shape = self.graph.shape(view.id);
        if let ([batch, channels, rows, columns, height, width], [0, 1, 4, 2, 5, 3]) =
            (view.inner.as_slice(), view.order.as_slice())
        {
            let whole = (*batch, *height, *width) == (self.batch, shape.height, shape.width);
            let factor = *rows;
            if rows == columns
                && whole
                && target == [*batch, *channels, height * factor, width * factor]
            {
                return self.push_image(call, Op::PixelShuffle { factor }, &[view.id]);
            }
        }
        let expected = "axes in order, or the sides of a pixel shuffle";
        Err(call.form("input 0", expected, format!("{view} to become {target:?}")))
    }

    /// Only to the shape that is there.
    pub(super) fn expand(&mut self, call: &mut Call<'_>, inputs: &Inputs) -> Result<View> {
        let view = image(call, inputs, 0)?;
        let all = constants(inputs);
        let target = fold::sides(call, fold::list(call, &all, 1)?)?;
        let dims = view.dims();
        match broadcast(&dims, &target) == Some(dims) {
            true => Ok(view.clone()),
            false => Err(call.form(
                "input 1",
                format!("the shape of {view}"),
                format!("{target:?}"),
            )),
        }
    }

    pub(super) fn transpose(&mut self, call: &mut Call<'_>, inputs: &Inputs) -> Result<View> {
        let view = image(call, inputs, 0)?;
        let order = fold::permutation(call, view.order.len())?;
        let order = order.iter().map(|at| view.order[*at]).collect();
        Ok(View {
            order,
            ..view.clone()
        })
    }
}

/// A 1x1 convolution that keeps the number of channels.
fn point(weight: Arc<[f32]>, channels: usize) -> Conv {
    Conv {
        outputs: channels,
        kernel: [1, 1],
        stride: [1, 1],
        padding: [[0, 0], [0, 0]],
        groups: 1,
        transposed: false,
        weight,
        bias: None,
    }
}

/// What is added before and after, for batch, channels, rows and columns.
fn pads(call: &Call<'_>, inputs: &Inputs, rank: usize) -> Result<[[i64; 2]; 4]> {
    let all = constants(inputs);
    let pads = fold::list(call, &all, 1)?;
    let axes = match all.get(3).is_some_and(Option::is_some) {
        true => fold::list(call, &all, 3)?.to_vec(),
        false => (0..rank as i64).collect(),
    };
    let mut sides = [[0; 2]; 4];
    let in_range = |pad: &i64| (-(1 << 20)..=1 << 20).contains(pad);
    if pads.len() != 2 * axes.len() || rank != 4 || !pads.iter().all(in_range) {
        let expected = "two numbers for each of four axes, none beyond any use";
        return Err(call.form(
            "input 1",
            expected,
            format!("{} for {rank} axes", pads.len()),
        ));
    }
    let (before, after) = pads.split_at(axes.len());
    for ((at, before), after) in axes.iter().zip(before).zip(after) {
        sides[axis(call, *at, rank)?] = [*before, *after];
    }
    Ok(sides)
}
