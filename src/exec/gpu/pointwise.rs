//! Dispatches of ops on each pixel alone: steps that no other kernel takes, and ops across a pixel's channels.

use super::lower::{Lowering, THREADS};
use super::pass::Pass;
use super::place::{Place, Source, vectors};
use super::record::{Dispatch, folded};
use super::shader::{Constant, Kernel, Shader};
use crate::nn::{Op, ValueId};

impl Lowering<'_> {
    pub(super) fn pointwise(
        &mut self,
        pass: &Pass,
        source: Source,
        result: Place,
        own: &[(ValueId, Place)],
    ) {
        let (before, steps) = self.steps(&pass.before, own);
        let mut constants = vec![("SPLIT_RESULT", Constant::Bool(result.split))];
        constants.extend(source.constants());
        let shader = Shader {
            constants,
            before,
            ..Shader::plain(Kernel::Pointwise)
        };
        let mut numbers = vec![("pitch", 0)];
        numbers.extend(source.numbers());
        numbers.extend([
            ("pixels", source.shape.pixels() as u32),
            ("result", result.offset),
            ("result_channels", result.shape.channels as u32),
        ]);
        self.push(Dispatch {
            what: self.words(pass.before.iter().copied()),
            shader,
            numbers,
            steps,
            workgroups: folded(vectors(result.shape).div_ceil(THREADS)),
            flops: (result.shape.elements() * pass.before.len()) as u64,
        });
    }

    pub(super) fn across(
        &mut self,
        pass: &Pass,
        value: ValueId,
        source: Source,
        result: Place,
        own: &[(ValueId, Place)],
    ) {
        let (before, steps) = self.steps(&pass.before, own);
        let graph = self.graph;
        let (mode, eps, learnt) = match &graph.node(value).op {
            Op::LayerNorm { weight, bias, eps } => {
                let learnt = [self.constants.push(weight), self.constants.push(bias)];
                (0, *eps, learnt)
            }
            Op::Softmax => (1, 0.0, [0, 0]),
            _ => (2, 0.0, [0, 0]),
        };
        let mut numbers = vec![("pitch", 0)];
        numbers.extend(source.numbers());
        numbers.extend([
            ("pixels", source.shape.pixels() as u32),
            ("channels", source.shape.channels as u32),
            ("eps", eps.to_bits()),
            ("weight", learnt[0]),
            ("bias", learnt[1]),
            ("result", result.offset),
        ]);
        let mut constants = vec![
            ("MODE", Constant::Count(mode)),
            ("SPLIT_RESULT", Constant::Bool(result.split)),
        ];
        constants.extend(source.constants());
        self.push(Dispatch {
            what: self.words(pass.before.iter().copied().chain([value])),
            shader: Shader {
                constants,
                before,
                ..Shader::plain(Kernel::Across)
            },
            numbers,
            steps,
            workgroups: folded(source.shape.pixels().div_ceil(THREADS)),
            flops: 8 * source.shape.elements() as u64,
        });
    }
}
