//! What a chain's strips are, and which buffer each of its steps writes.

use pulp::Arch;

use super::{At, To, place, unfit};
use crate::exec::ExecError;
use crate::exec::cpu::reach::Axis;
use crate::nn::{Chain, Node, Op, Program, Shape, ValueId};

/// Strips are about so many numbers of their widest step, which stay in the nearest caches,
const STRIP: usize = 8192;
/// but at least so many pixels, for which weights are read once,
const FEWEST: usize = 48;
/// and at most so many.
const MOST: usize = 512;

/// What is known of a chain while it is made ready.
pub(super) struct Planner<'a> {
    pub(super) arch: Arch,
    pub(super) program: &'a Program,
    pub(super) chain: &'a Chain,
    /// The steps, without a concatenation at their beginning.
    pub(super) steps: &'a [ValueId],
    /// The step that looks at several pixels.
    pub(super) spatial: Option<usize>,
    /// The last step that reads each step's result; their number if none does.
    last_use: Vec<usize>,
    pub(super) input: Shape,
    /// The pixels of a strip, and the input rows that are computed at once.
    pub(super) strip: usize,
    pub(super) rows_at_once: usize,
    pub(super) slots: Vec<usize>,
    free: Vec<usize>,
    /// Where each step's result is.
    pub(super) written: Vec<To>,
}

impl<'a> Planner<'a> {
    pub(super) fn new(
        arch: Arch,
        program: &'a Program,
        chain: &'a Chain,
    ) -> Result<Self, ExecError> {
        let graph = &program.graph;
        let steps = match chain.steps.split_first() {
            Some((first, rest)) if graph.node(*first).op == Op::Concat => rest,
            _ => chain.steps.as_slice(),
        };
        let Some(first) = chain.source.first() else {
            return Err(ExecError::Unfit {
                what: "a chain of the network".to_owned(),
                expected: "a source".to_owned(),
                found: "none".to_owned(),
            });
        };
        let channels = chain
            .source
            .iter()
            .map(|value| graph.shape(*value).channels);
        let input = graph.shape(*first).with_channels(channels.sum());
        for value in &chain.source {
            let shape = graph.shape(*value);
            if (shape.height, shape.width) != (input.height, input.width) {
                let expected = format!("{} rows and {} columns", input.height, input.width);
                return Err(unfit(program, *value, &expected, &shape.to_string()));
            }
        }
        let is_spatial = |step: &ValueId| !graph.node(*step).op.is_pointwise();
        let spatial = steps.iter().position(is_spatial);
        if let Some(second) = steps
            .iter()
            .skip(spatial.map_or(0, |at| at + 1))
            .find(|step| is_spatial(step))
        {
            let expected = "one step of a chain that is not pointwise";
            return Err(unfit(program, *second, expected, "two"));
        }
        let last_use = |step: &ValueId| {
            let reads = |later: &ValueId| graph.node(*later).inputs.contains(step);
            steps.iter().rposition(reads).unwrap_or(steps.len())
        };
        let mut planner = Self {
            arch,
            program,
            chain,
            steps,
            spatial,
            last_use: steps.iter().map(last_use).collect(),
            input,
            strip: 0,
            rows_at_once: 1,
            slots: Vec::new(),
            free: Vec::new(),
            written: Vec::new(),
        };
        planner.cut();
        planner.assign();
        Ok(planner)
    }

    pub(super) fn node(&self, step: usize) -> &'a Node {
        self.program.graph.node(self.steps[step])
    }

    /// Of a step's input, and its result.
    pub(super) fn shapes(&self, step: usize) -> (Shape, Shape) {
        let input = match step.checked_sub(1) {
            Some(before) => self.node(before).shape,
            None => self.input,
        };
        (input, self.node(step).shape)
    }

    pub(super) fn output(&self) -> Shape {
        match self.steps.len().checked_sub(1) {
            Some(last) => self.node(last).shape,
            None => self.input,
        }
    }

    /// Decides what a strip is.
    fn cut(&mut self) {
        let output = self.output();
        let Some(spatial) = self.spatial else {
            let steps = (0..self.steps.len()).map(|step| self.node(step).shape.channels);
            let widest = steps.fold(self.input.channels, usize::max);
            self.strip = (STRIP / widest).clamp(FEWEST, MOST);
            return;
        };
        let (input, _) = self.shapes(spatial);
        let rows = match self.node(spatial).op {
            Op::PixelShuffle { factor } => factor.max(FEWEST.div_ceil(output.width)),
            _ => FEWEST.div_ceil(output.width),
        };
        let rows = rows.min(output.height);
        self.strip = rows * output.width;
        let axis = Axis::of(&self.node(spatial).op, 0);
        let fresh = rows.div_ceil(axis.every) * axis.step;
        self.rows_at_once = fresh.max(FEWEST.div_ceil(input.width)).min(input.height);
    }

    /// Whether a step is a convolution that does the gate behind it as well.
    pub(super) fn is_gated(&self, step: usize) -> bool {
        let Op::Conv(conv) = &self.node(step).op else {
            return false;
        };
        let each_channel = conv.is_depthwise() && self.shapes(step).0.channels == conv.groups;
        let whole = conv.groups == 1 || (each_channel && !conv.transposed);
        let next = step + 1;
        let gate = next < self.steps.len() && self.node(next).op == Op::Gate;
        whole && gate && self.last_use[step] == next
    }

    /// Whether a step writes its result over its input, or finds it there.
    pub(super) fn is_in_place(&self, step: usize) -> bool {
        let Some(before) = step.checked_sub(1) else {
            return false;
        };
        if self.is_gated(before) {
            return true;
        }
        let node = self.node(step);
        let shape_stays = matches!(
            node.op,
            Op::LayerNorm { .. }
                | Op::Normalise { .. }
                | Op::Affine { .. }
                | Op::Apply(_)
                | Op::Binary(_)
                | Op::Softmax
        );
        let again = node
            .inputs
            .iter()
            .skip(1)
            .any(|input| *input == self.steps[before]);
        shape_stays && !again && self.last_use[before] == step
    }

    /// Decides where each step's result is written.
    fn assign(&mut self) {
        // Slot 0 is that of a source that is copied together.
        if self.chain.source.len() > 1 {
            self.slots.push(self.input.channels * self.pixels(0));
        }
        for step in 0..self.steps.len() {
            let slot = match (self.is_in_place(step), self.written.last()) {
                (true, Some(To::Slot(slot))) => *slot,
                _ => self.free.pop().unwrap_or_else(|| {
                    self.slots.push(0);
                    self.slots.len() - 1
                }),
            };
            let size = self.node(step).shape.channels * self.pixels(step + 1);
            self.slots[slot] = self.slots[slot].max(size);
            self.written.push(To::Slot(slot));
            for before in 0..step {
                if self.last_use[before] == step
                    && let To::Slot(done) = self.written[before]
                    && done != slot
                {
                    self.free.push(done);
                }
            }
        }
        if self.chain.kept {
            self.write_to_result(self.steps.len());
        }
        if let Some(spatial) = self.spatial
            && self.rows_at_once == 1
        {
            self.write_to_result(spatial);
        }
    }

    /// The last of the first so many steps, and those that it works on in place, write where the result is to be: of the
    /// chain, or the row that the step that looks at several pixels reads.
    fn write_to_result(&mut self, steps: usize) {
        for step in (0..steps).rev() {
            self.written[step] = To::Result;
            if !self.is_in_place(step) {
                break;
            }
        }
    }

    /// How many pixels a buffer before a step must have room for.
    fn pixels(&self, step: usize) -> usize {
        match self.spatial {
            Some(spatial) if step <= spatial => self.rows_at_once * self.shapes(spatial).0.width,
            _ => self.strip,
        }
    }

    /// Where a step finds the result of the one before it, or the source.
    pub(super) fn from(&self, step: usize) -> Result<At, ExecError> {
        if let Some(before) = step.checked_sub(1) {
            return Ok(match self.written[before] {
                To::Slot(slot) => At::Slot(slot),
                To::Result => At::Output,
            });
        }
        match self.chain.source.as_slice() {
            [only] => Ok(At::Kept(place(self.program, *only)?)),
            _ => Ok(At::Slot(0)),
        }
    }
}
