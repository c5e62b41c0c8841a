//! A chain's steps, their weights packed.

use std::ops::Range;

use super::planner::Planner;
use super::{At, Prepared, Spatial, SpatialOp, Step, StepOp, To, place, unfit};
use crate::exec::ExecError;
use crate::exec::cpu::convolution::Convolution;
use crate::exec::cpu::pointwise::{Elementwise, Regroup, Spread};
use crate::exec::cpu::reach::{Reach, pitch};
use crate::exec::cpu::reduce::Reduction;
use crate::nn::{Op, Shape};

fn no_memory<T>(what: T) -> ExecError
where
    T: std::fmt::Display,
{
    ExecError::Device {
        device: "CPU".to_owned(),
        message: format!("no room for a network's weights: {what}"),
    }
}

impl Planner<'_> {
    /// The chain, ready to run.
    pub(super) fn prepare(mut self) -> Result<Prepared, ExecError> {
        let source = self.chain.source.iter().map(|value| {
            let channels = self.program.graph.shape(*value).channels;
            Ok((place(self.program, *value)?, channels))
        });
        let source = source.collect::<Result<Vec<_>, ExecError>>()?;
        let spatial = self.spatial.map(|step| self.spatial(step)).transpose()?;
        let mut before = Vec::new();
        let mut after = Vec::new();
        // Where the step that looks at several pixels is first, its rows are copied together.
        let copied = self.steps.is_empty() && self.chain.kept;
        if copied || (source.len() > 1 && self.spatial != Some(0)) {
            let concat = Step {
                op: StepOp::Concat,
                from: At::Output,
                to: match copied {
                    true => To::Result,
                    false => To::Slot(0),
                },
                inputs: self.input.channels,
                outputs: self.input.channels,
            };
            let list = if self.spatial.is_some() {
                &mut before
            } else {
                &mut after
            };
            list.push(concat);
        }
        for step in 0..self.steps.len() {
            match self.spatial {
                Some(spatial) if step < spatial => before.push(self.step(step)?),
                Some(spatial) if step == spatial => {}
                _ => after.push(self.step(step)?),
            }
        }
        let output = self.output();
        let last = match (self.from(self.steps.len())?, self.chain.kept) {
            (_, true) => At::Output,
            (from, false) => from,
        };
        let result = self.chain.kept.then(|| self.kept()).transpose()?;
        let reductions = self.reductions()?;
        self.check(result.as_ref())?;
        let ring = spatial.as_ref().map_or(0, |spatial| {
            let held = spatial.reach.held + 1;
            if spatial.in_place {
                0
            } else {
                held * pitch(spatial.input, spatial.reach.margins)
            }
        });
        Ok(Prepared {
            source,
            input: self.input,
            before,
            spatial,
            after,
            last,
            output,
            result,
            reductions,
            strip: self.strip,
            slots: std::mem::take(&mut self.slots),
            ring,
        })
    }

    /// Where the last step's result is kept.
    fn kept(&self) -> Result<Range<usize>, ExecError> {
        match self.chain.steps.last() {
            Some(last) => place(self.program, *last),
            None => {
                let source = self.chain.source[0];
                Err(unfit(
                    self.program,
                    source,
                    "a step whose result is kept",
                    "none",
                ))
            }
        }
    }

    fn reductions(&self) -> Result<Vec<(Reduction, Range<usize>)>, ExecError> {
        let reductions = self.chain.reductions.iter().map(|value| {
            let reduction = match self.program.graph.node(*value).op {
                Op::Mean => Reduction::Mean,
                Op::Moments { groups, eps } => Reduction::Moments { groups, eps },
                _ => {
                    let expected = "a mean or moments";
                    return Err(unfit(self.program, *value, expected, "another op"));
                }
            };
            Ok((reduction, place(self.program, *value)?))
        });
        reductions.collect()
    }

    /// Whether what the chain writes leaves what it reads alone.
    fn check(&self, result: Option<&Range<usize>>) -> Result<(), ExecError> {
        let Some(result) = result else { return Ok(()) };
        for value in self.chain.reads(&self.program.graph) {
            let read = place(self.program, value)?;
            if read.start < result.end && result.start < read.end {
                let expected = "a place that the chain does not write";
                return Err(unfit(self.program, value, expected, "one that it writes"));
            }
        }
        Ok(())
    }

    fn spatial(&self, step: usize) -> Result<Spatial, ExecError> {
        let (input, output) = (self.shapes(step).0, self.written_shape(step));
        let gated = self.is_gated(step);
        let op = &self.node(step).op;
        let reach = Reach::of(op, input, output, self.strip / output.width);
        let alone = step == 0 && self.chain.source.len() == 1;
        let op = match op {
            Op::Conv(conv) => SpatialOp::Conv(
                Convolution::pack(self.arch, conv, gated, input, output).map_err(no_memory)?,
            ),
            Op::PixelShuffle { factor } => SpatialOp::PixelShuffle(*factor),
            Op::Pad { .. } | Op::Crop { .. } => SpatialOp::Copy,
            _ => {
                let step = self.steps[step];
                return Err(unfit(self.program, step, "a step of a chain", "none"));
            }
        };
        let needs_zeros = reach.outside && !matches!(op, SpatialOp::Copy);
        Ok(Spatial {
            in_place: alone && reach.margins == [0, 0] && !needs_zeros,
            // Several sources have not been copied together.
            from: match step == 0 && !alone {
                true => None,
                false => Some(self.from(step)?),
            },
            op,
            input,
            output,
            reach,
            rows_at_once: self.rows_at_once,
            to: self.written[step],
        })
    }

    /// The shape of what a step writes: what the gate behind it leaves, if it does that as well.
    fn written_shape(&self, step: usize) -> Shape {
        match self.is_gated(step) {
            true => self.node(step + 1).shape,
            false => self.node(step).shape,
        }
    }

    fn step(&self, step: usize) -> Result<Step, ExecError> {
        let (input, output) = (self.shapes(step).0, self.written_shape(step));
        let gated = self.is_gated(step);
        let node = self.node(step);
        let from = match self.is_in_place(step) {
            true => At::Output,
            false => self.from(step)?,
        };
        let op = match &node.op {
            Op::Conv(conv) => StepOp::Product(
                Convolution::pack(self.arch, conv, gated, input, output).map_err(no_memory)?,
            ),
            Op::Gate if step > 0 && self.is_gated(step - 1) => StepOp::Done,
            Op::Gate => StepOp::Regroup(Regroup::Gate),
            Op::ChannelMean => StepOp::Regroup(Regroup::ChannelMean),
            Op::Channels { start, channels } => {
                StepOp::Regroup(Regroup::Channels(*start..start + channels))
            }
            op => self.elementwise(step, op, input)?,
        };
        Ok(Step {
            op,
            from,
            to: self.written[step],
            inputs: input.channels,
            outputs: output.channels,
        })
    }

    fn elementwise(&self, step: usize, op: &Op, input: Shape) -> Result<StepOp, ExecError> {
        let op = match op {
            Op::LayerNorm { weight, bias, eps } => Elementwise::LayerNorm {
                weight: weight.clone(),
                bias: bias.clone(),
                eps: *eps,
            },
            Op::Affine { scale, shift } => Elementwise::Affine {
                scale: scale.clone(),
                shift: shift.clone(),
            },
            Op::Apply(function) => Elementwise::Apply(function.clone()),
            Op::Softmax => Elementwise::Softmax,
            Op::Normalise { weight, bias } => {
                let op = Elementwise::Normalise {
                    weight: weight.clone(),
                    bias: bias.clone(),
                };
                let moments = self.operand(step)?;
                return Ok(StepOp::Elementwise(op, Some((moments, 0))));
            }
            Op::Binary(binary) => {
                let shape = self.program.graph.shape(self.node(step).inputs[1]);
                let (spread, numbers) = match shape {
                    shape if shape == input => (Spread::Image, input.channels),
                    shape if shape.pixels() == 1 && input.pixels() > 1 => (Spread::Vector, 0),
                    _ => (Spread::Plane, 1),
                };
                let op = Elementwise::Binary(*binary, spread);
                return Ok(StepOp::Elementwise(
                    op,
                    Some((self.operand(step)?, numbers)),
                ));
            }
            _ => {
                let step = self.steps[step];
                return Err(unfit(self.program, step, "a step of a chain", "none"));
            }
        };
        Ok(StepOp::Elementwise(op, None))
    }

    /// Where a step's second input is.
    fn operand(&self, step: usize) -> Result<At, ExecError> {
        let value = self.node(step).inputs[1];
        let Some(own) = self.steps[..step].iter().position(|own| *own == value) else {
            return Ok(At::Kept(place(self.program, value)?));
        };
        match (self.written[own], self.spatial) {
            (To::Slot(slot), spatial) if spatial.is_none_or(|at| own >= at || step < at) => {
                Ok(At::Slot(slot))
            }
            _ => {
                let expected = "only pointwise steps until it is read";
                Err(unfit(self.program, value, expected, "others"))
            }
        }
    }
}
