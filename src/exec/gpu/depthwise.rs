//! Dispatches of depthwise convolutions.

use super::dense::{workgroup, workgroup_constants};
use super::lower::{Lowering, conv_of};
use super::pass::{Core, Pass};
use super::place::{Place, Source, vectors};
use super::record::{Dispatch, LANES, folded};
use super::shader::{Constant, Kernel, Shader};
use crate::nn::ValueId;

/// The most vectors of channels of a workgroup.
const MOST_ROWS: usize = 16;

/// The most weights that threads exchange, as `shaders/shared/exchange.wgsl` has it.
const MOST_EXCHANGED: usize = 16;

impl Lowering<'_> {
    /// If it has partial moments of its result, gives the number of their tiles.
    pub(super) fn depthwise(
        &mut self,
        pass: &Pass,
        source: Source,
        result: Place,
        own: &[(ValueId, Place)],
        reduced: bool,
    ) -> Option<usize> {
        let Core::Depthwise { conv: value, gate } = pass.core else {
            return None;
        };
        let conv = conv_of(self.graph, value)?;
        let (before, mut steps) = self.steps(&pass.before, own);
        let (after, numbers_after) = self.steps(&pass.after, own);
        steps.extend(numbers_after);
        let channels = conv.outputs;
        let weights = self.constants.position();
        // Channels are filled up for each tap.
        for tap in conv.weight.chunks(channels) {
            self.constants.push(tap);
        }
        let bias = match &conv.bias {
            Some(bias) => self.constants.push(bias),
            None => self.constants.push(&vec![0.0; channels]),
        };
        let (input, output) = (source.shape, self.graph.shape(value));
        let first = [0, 1].map(|axis| -conv.padding[axis][0]);
        let tuning = &self.tuning;
        let taps = conv.kernel[0] * conv.kernel[1];
        let exchange = tuning.exchange.filter(|_| taps <= MOST_EXCHANGED);
        let [rows_of_thread, pixels] = match conv.stride[0] {
            1 => tuning.depthwise,
            _ => [1, tuning.depthwise[1]],
        };
        let (slots, rows) = match exchange {
            Some(threads) => (threads, 1),
            None => workgroup(result.width() as usize, MOST_ROWS),
        };
        let lines = output.height.div_ceil(rows_of_thread);
        let tiles = (lines * output.width.div_ceil(pixels)).div_ceil(slots);
        let groups = (result.width() as usize).div_ceil(rows);
        if reduced {
            self.reserve_partials(tiles, result.shape);
        }
        let mut numbers = vec![("pitch", 0)];
        numbers.extend(source.numbers());
        numbers.extend([
            ("height", input.height as u32),
            ("width", input.width as u32),
            ("taps_y", conv.kernel[0] as u32),
            ("taps_x", conv.kernel[1] as u32),
            ("step_y", conv.stride[0] as u32),
            ("step_x", conv.stride[1] as u32),
            // Two's complement, which the kernel reads it as.
            ("first_y", first[0] as u32),
            ("first_x", first[1] as u32),
            ("weights", weights),
            ("bias", bias),
            ("rows", output.height as u32),
            ("columns", output.width as u32),
            ("outputs", result.width()),
            ("result", result.offset),
            ("result_channels", result.shape.channels as u32),
            ("tiles", tiles as u32),
            ("groups", groups as u32),
            ("scratch_pitch", 0),
        ]);
        let mut constants = workgroup_constants(slots, rows);
        constants.extend([
            ("PIXELS", Constant::Count(pixels as u32)),
            ("VECTORS", Constant::Count(rows_of_thread as u32)),
            ("EXCHANGES", Constant::Bool(exchange.is_some())),
            ("GATED", Constant::Bool(gate)),
            ("REDUCED", Constant::Bool(reduced)),
            ("SLIDES", Constant::Bool(conv.stride[1] == 1)),
            ("SPLIT_RESULT", Constant::Bool(result.split)),
        ]);
        constants.extend(source.constants());
        let named = pass.before.iter().copied().chain([value]);
        let mut what = self.words(named.chain(pass.after.iter().copied()));
        if gate {
            what += ", gate";
        }
        self.push(Dispatch {
            what,
            shader: Shader {
                kernel: Kernel::Depthwise,
                constants,
                before,
                after,
            },
            numbers,
            steps,
            workgroups: folded(tiles * groups),
            flops: (2 * taps * vectors(output) * LANES) as u64,
        });
        reduced.then_some(tiles)
    }
}
