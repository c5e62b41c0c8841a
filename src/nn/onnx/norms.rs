//! Normalisations, means and softmax.

use std::sync::Arc;

use super::call::Call;
use super::constant::axis;
use super::error::Result;
use super::view::View;
use super::{Importer, Inputs, constants, fold, image};
use crate::nn::build::running;
use crate::nn::op::Op;

impl Importer<'_> {
    /// By running statistics; in training mode by those of the image, as PyTorch exports norms that keep none.
    pub(super) fn batch_norm(&mut self, call: &mut Call<'_>, inputs: &Inputs) -> Result<View> {
        call.ignore(&["momentum"]);
        let eps = call.float("epsilon", 1e-5)?;
        let training = call.int("training_mode", 0)? != 0;
        let spatial = call.int("spatial", 1)?;
        if spatial != 1 {
            return Err(call.form("attribute `spatial`", "1", spatial.to_string()));
        }
        let view = image(call, inputs, 0)?;
        let shape = self.graph.shape(view.id);
        if !view.in_order() || !view.is_image(shape, self.batch) {
            return Err(call.form("input 0", format!("images of {shape}"), view.to_string()));
        }
        let channels = shape.channels;
        let weight = self.required(call, inputs, 1, channels)?;
        let bias = self.required(call, inputs, 2, channels)?;
        if training {
            return self.normalised(call, view, channels, eps, weight, bias);
        }
        let mean = self.required(call, inputs, 3, channels)?;
        let variance = self.required(call, inputs, 4, channels)?;
        self.budget.spend(call, Some(2 * channels))?;
        let op = running(&mean, &variance, eps.into(), Some(&weight), Some(&bias));
        self.keep(call, op, view)
    }

    /// Over each run of channels: before operator set 18 group norm is an instance norm of a reshaped image.
    pub(super) fn instance_norm(&mut self, call: &mut Call<'_>, inputs: &Inputs) -> Result<View> {
        let eps = call.float("epsilon", 1e-5)?;
        let view = image(call, inputs, 0)?;
        let channels = self.graph.shape(view.id).channels;
        let groups = match view.inner.as_slice() {
            [batch, groups, _, ..]
                if view.in_order()
                    && *batch == self.batch
                    && *groups > 0
                    && channels.is_multiple_of(*groups) =>
            {
                *groups
            }
            _ => {
                let expected = format!("a batch of runs of its {channels} channels");
                return Err(call.form("input 0", expected, view.to_string()));
            }
        };
        let weight = self.required(call, inputs, 1, groups)?;
        let bias = self.required(call, inputs, 2, groups)?;
        self.normalised(call, view, groups, eps, weight, bias)
    }

    /// Scale and bias are one for each group up to operator set 20, as PyTorch never had them, and for each channel
    /// from 21 on.
    pub(super) fn group_norm(&mut self, call: &mut Call<'_>, inputs: &Inputs) -> Result<View> {
        call.ignore(&["stash_type"]);
        let eps = call.float("epsilon", 1e-5)?;
        let groups = call.int("num_groups", 0)?;
        let view = image(call, inputs, 0)?;
        let shape = self.graph.shape(view.id);
        let fits = |groups: &usize| *groups > 0 && shape.channels.is_multiple_of(*groups);
        let Some(groups) = usize::try_from(groups).ok().filter(fits) else {
            let expected = format!("a number that divides {}", shape.channels);
            return Err(call.form("attribute `num_groups`", expected, groups.to_string()));
        };
        self.whole(call, inputs, 0)?;
        let weight = self.required(call, inputs, 1, groups)?;
        let bias = self.required(call, inputs, 2, groups)?;
        self.normalised(call, view, groups, eps, weight, bias)
    }

    /// Normalises over runs of channels; weight and bias are one for each run.
    fn normalised(
        &mut self,
        call: &Call<'_>,
        view: &View,
        groups: usize,
        eps: f32,
        weight: Arc<[f32]>,
        bias: Arc<[f32]>,
    ) -> Result<View> {
        let channels = self.graph.shape(view.id).channels;
        let moments = self.push(call, Op::Moments { groups, eps }, &[view.id])?;
        let plain = weight.iter().all(|one| *one == 1.0) && bias.iter().all(|one| *one == 0.0);
        self.budget.spend(call, Some(2 * channels))?;
        let run = channels / groups;
        let each = |list: &[f32]| -> Arc<[f32]> {
            list.iter()
                .flat_map(|one| std::iter::repeat_n(*one, run))
                .collect()
        };
        let op = match plain {
            true => Op::Normalise {
                weight: None,
                bias: None,
            },
            false => Op::Normalise {
                weight: Some(each(&weight)),
                bias: Some(each(&bias)),
            },
        };
        let id = self.push(call, op, &[view.id, moments])?;
        Ok(View { id, ..view.clone() })
    }

    /// Over the channels, which the exporter has made the last axis.
    pub(super) fn layer_norm(&mut self, call: &mut Call<'_>, inputs: &Inputs) -> Result<View> {
        call.ignore(&["stash_type"]);
        let eps = call.float("epsilon", 1e-5)?;
        let at = call.int("axis", -1)?;
        let view = image(call, inputs, 0)?;
        let at = axis(call, at, view.order.len())?;
        let shape = self.graph.shape(view.id);
        let channels = view.channel_axis(shape, self.batch);
        if channels != Some(at) || at + 1 != view.order.len() {
            let expected = "channels on the last axis, and only those normalised";
            return Err(call.form("input 0", expected, format!("{view} from axis {at} on")));
        }
        let weight = self.required(call, inputs, 1, shape.channels)?;
        self.budget.spend(call, Some(shape.channels))?;
        let bias = self.numbers(call, inputs, 2, shape.channels)?;
        let bias = bias.unwrap_or_else(|| vec![0.0; shape.channels].into());
        self.keep(call, Op::LayerNorm { weight, bias, eps }, view)
    }

    /// Before operator set 13 it is over all axes from one on.
    pub(super) fn softmax(&mut self, call: &mut Call<'_>, inputs: &Inputs) -> Result<View> {
        let plain = if call.opset < 13 { 1 } else { -1 };
        let at = call.int("axis", plain)?;
        let view = image(call, inputs, 0)?;
        let at = axis(call, at, view.order.len())?;
        let shape = self.graph.shape(view.id);
        let over_channels = view.channel_axis(shape, self.batch) == Some(at);
        if !over_channels || (call.opset < 13 && shape.pixels() != 1) {
            return Err(call.form(
                "attribute `axis`",
                "the channels",
                format!("{at} of {view}"),
            ));
        }
        self.keep(call, Op::Softmax, view)
    }

    /// Means over all pixels, or over channels.
    pub(super) fn mean(&mut self, call: &mut Call<'_>, inputs: &Inputs) -> Result<View> {
        let view = image(call, inputs, 0)?;
        let shape = self.graph.shape(view.id);
        match call.op() {
            "GlobalAveragePool" => {
                let id = self.whole(call, inputs, 0)?;
                self.push_image(call, Op::Mean, &[id])
            }
            "AveragePool" => {
                call.ignore(&["count_include_pad", "strides", "ceil_mode"]);
                let auto = call.text("auto_pad", "NOTSET")?;
                let pads = call.ints("pads")?.unwrap_or_default();
                let kernel = call.ints("kernel_shape")?.unwrap_or_default();
                let dilations = call.ints("dilations")?.unwrap_or_default();
                let whole = kernel
                    .iter()
                    .copied()
                    .eq([shape.height as i64, shape.width as i64]);
                let plain = pads.iter().all(|pad| *pad == 0)
                    && ["NOTSET", "VALID"].contains(&auto)
                    && dilations.iter().all(|side| *side == 1);
                if !whole || !plain {
                    let expected = format!("the whole image of {shape}, without padding");
                    return Err(call.form(
                        "attribute `kernel_shape`",
                        expected,
                        format!("{kernel:?}"),
                    ));
                }
                let id = self.whole(call, inputs, 0)?;
                self.push_image(call, Op::Mean, &[id])
            }
            _ => self.reduce_mean(call, inputs, view),
        }
    }

    fn reduce_mean(&mut self, call: &mut Call<'_>, inputs: &Inputs, view: &View) -> Result<View> {
        let keep = call.int("keepdims", 1)? != 0;
        call.ignore(&["noop_with_empty_axes"]);
        let given = fold::axes(call, &constants(inputs))?.unwrap_or_default();
        let mut gone = Vec::with_capacity(given.len());
        for at in &given {
            gone.push(view.order[axis(call, *at, view.order.len())?]);
        }
        let op = self.mean_over(view, &gone).ok_or_else(|| {
            let expected = "the channels, or height and width";
            call.form("axes", expected, format!("{given:?} of {view}"))
        })?;
        let id = self.push(call, op, &[view.id])?;
        let mut made = View { id, ..view.clone() };
        for at in &gone {
            made.inner[*at] = 1;
        }
        if keep {
            return Ok(made);
        }
        // One axis that is left, or all in order, can be seen without those that are gone.
        let several = made.inner.iter().filter(|side| **side != 1).count() > 1;
        if several && !view.in_order() {
            return Err(call.form("attribute `keepdims`", "1 after a transposition", "0"));
        }
        let left = made.order.iter().filter(|at| !gone.contains(at));
        let left = left.map(|at| made.inner[*at]);
        Ok(View::plain(id, left.collect()))
    }

    /// The mean over these axes of a value; that over a batch of one image is nothing.
    fn mean_over(&self, view: &View, gone: &[usize]) -> Option<Op> {
        let shape = self.graph.shape(view.id);
        let pixels = |at: &usize| *at >= 2;
        let goes = |at: usize| gone.contains(&at);
        if !view.has_channels(shape, self.batch) || (goes(0) && self.batch != 1) {
            return None;
        }
        let all_pixels = (2..view.inner.len()).all(goes) && view.inner.len() > 2;
        match (goes(1), all_pixels, gone.iter().any(pixels)) {
            (false, true, _) => Some(Op::Mean),
            (true, _, false) => Some(Op::ChannelMean),
            _ => None,
        }
    }
}
