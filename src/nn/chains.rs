//! Cuts a graph into chains: which ops run one after another without their results being kept.

use super::graph::{Graph, Node, ValueId};
use super::op::{Binary, Op};
use super::program::Chain;

/// Cuts a graph into chains, in an order in which they can run. Sums and products whose second input continues a chain
/// have their inputs exchanged.
pub(super) fn chains(graph: &mut Graph) -> Vec<Chain> {
    let mut cut = Cut {
        consumers: consumers(graph),
        done: vec![false; graph.nodes().len()],
        graph,
    };
    cut.done[0] = true;
    let mut chains = Vec::new();
    for index in 0..cut.graph.nodes().len() {
        let value = cut.graph.value(index);
        if !cut.done[index] && !cut.is_in_place(value) {
            chains.push(cut.chain(value));
        }
    }
    chains
}

/// The nodes that read each value, in order; one that reads it twice is there twice.
fn consumers(graph: &Graph) -> Vec<Vec<ValueId>> {
    let mut all = vec![Vec::new(); graph.nodes().len()];
    for (value, node) in graph.values() {
        for input in &node.inputs {
            all[input.index()].push(value);
        }
    }
    all
}

struct Cut<'a> {
    graph: &'a mut Graph,
    consumers: Vec<Vec<ValueId>>,
    /// Which values have been computed by the chains so far.
    done: Vec<bool>,
}

impl Cut<'_> {
    fn node(&self, value: ValueId) -> &Node {
        self.graph.node(value)
    }

    fn is_reduction(&self, value: ValueId) -> bool {
        matches!(self.node(value).op, Op::Mean | Op::Moments { .. })
    }

    /// Whether a value is a concatenation that is never written: all who read it work on it first of all.
    fn is_in_place(&self, value: ValueId) -> bool {
        let is_worked_on = |reader: &ValueId| {
            let node = self.node(*reader);
            let first = node.inputs.first() == Some(&value) || node.op == Op::Concat;
            let operand = node.inputs.iter().skip(1).any(|input| *input == value);
            first && (!operand || node.op == Op::Concat)
        };
        matches!(self.node(value).op, Op::Concat)
            && value != self.graph.output()
            && self.consumers[value.index()].iter().all(is_worked_on)
    }

    /// What a value is read as: its parts, if it is a concatenation that is never written.
    fn parts(&self, value: ValueId) -> Vec<ValueId> {
        let (mut parts, mut open) = (Vec::new(), vec![value]);
        while let Some(value) = open.pop() {
            match self.is_in_place(value) {
                true => open.extend(self.node(value).inputs.iter().rev()),
                false => parts.push(value),
            }
        }
        parts
    }

    /// The chain that begins with the node `first`, whose inputs are all kept.
    fn chain(&mut self, first: ValueId) -> Chain {
        let inputs = self.node(first).inputs.clone();
        let source = match self.node(first).op {
            // It is written: its parts are its own.
            Op::Concat => inputs.iter().flat_map(|x| self.parts(*x)).collect(),
            _ => self.parts(inputs[0]),
        };
        let mut steps = Vec::new();
        if self.is_reduction(first) {
            // Of a value that no chain ends with: the input, or a concatenation.
            self.done[first.index()] = true;
            return Chain {
                source,
                steps,
                kept: false,
                reductions: vec![first],
            };
        }
        steps.push(first);
        while let Some(more) = self.continuation(&steps) {
            steps.extend(more);
        }
        let last = *steps.last().unwrap_or(&first);
        for step in &steps {
            self.done[step.index()] = true;
        }
        let readers = &self.consumers[last.index()];
        let reductions: Vec<ValueId> = readers
            .iter()
            .copied()
            .filter(|reader| self.is_reduction(*reader))
            .collect();
        let kept = last == self.graph.output() || readers.len() > reductions.len();
        for reduction in &reductions {
            self.done[reduction.index()] = true;
        }
        Chain {
            source,
            steps,
            kept,
            reductions,
        }
    }

    /// The steps that may follow a chain's last one: all readers of its result are among them. `None` if it ends there.
    fn continuation(&mut self, steps: &[ValueId]) -> Option<Vec<ValueId>> {
        let last = *steps.last()?;
        let readers = self.consumers[last.index()].clone();
        if last == self.graph.output() || readers.iter().any(|reader| self.is_reduction(*reader)) {
            return None;
        }
        match readers.as_slice() {
            [] => None,
            [only] => {
                self.follows(steps, *only)?;
                Some(vec![*only])
            }
            [first, rest @ ..] => self.detour(steps, *first, rest),
        }
    }

    /// A run of pointwise steps from `first` on, at whose end the result of the chain's last step is taken up again by
    /// the `rest` of its readers: a residual connection.
    fn detour(
        &mut self,
        steps: &[ValueId],
        first: ValueId,
        rest: &[ValueId],
    ) -> Option<Vec<ValueId>> {
        let mut path = steps.to_vec();
        let mut next = first;
        let mut waiting = rest.to_vec();
        loop {
            if !self.node(next).op.is_pointwise() {
                return None;
            }
            self.follows(&path, next)?;
            path.push(next);
            waiting.retain(|reader| *reader != next);
            if waiting.is_empty() {
                return path.get(steps.len()..).map(<[ValueId]>::to_vec);
            }
            match self.consumers[next.index()].as_slice() {
                [only] if next != self.graph.output() => next = *only,
                _ => return None,
            }
        }
    }

    /// Whether a node can be the next step of a chain; exchanges its inputs if it must.
    fn follows(&mut self, steps: &[ValueId], next: ValueId) -> Option<()> {
        let last = *steps.last()?;
        let node = self.node(next);
        if node.op == Op::Concat || self.is_reduction(next) {
            return None;
        }
        let position = node.inputs.iter().position(|input| *input == last)?;
        let exchanged = match (position, &node.op) {
            (0, _) => false,
            (1, Op::Binary(Binary::Add | Binary::Multiply)) => {
                let [other, own] = [node.inputs[0], node.inputs[1]];
                if self.graph.shape(other) != self.graph.shape(own) {
                    return None;
                }
                true
            }
            _ => return None,
        };
        let operands = node
            .inputs
            .iter()
            .enumerate()
            .filter(|(at, _)| *at != position);
        for (_, operand) in operands {
            if !self.is_at_hand(steps, *operand) {
                return None;
            }
        }
        if !node.op.is_pointwise() && !self.takes_spatial(steps, &node.op) {
            return None;
        }
        if exchanged {
            self.graph.exchange_inputs(next);
        }
        Some(())
    }

    /// Whether a step may read a value besides the last result: it is kept, or of the same chain with only pointwise ops
    /// since.
    fn is_at_hand(&self, steps: &[ValueId], operand: ValueId) -> bool {
        match steps.iter().position(|step| *step == operand) {
            Some(at) => steps[at + 1..]
                .iter()
                .all(|step| self.node(*step).op.is_pointwise()),
            None => self.done[operand.index()] && !self.is_in_place(operand),
        }
    }

    /// Whether a chain can go on with an op that looks at several pixels. Matrix products are not computed again for
    /// each window of a dense kernel, only for the few taps of a depthwise one.
    fn takes_spatial(&self, steps: &[ValueId], op: &Op) -> bool {
        let is_light = match op {
            Op::Conv(conv) => conv.is_depthwise(),
            Op::PixelShuffle { .. } => true,
            _ => false,
        };
        steps.iter().all(|step| match &self.node(*step).op {
            Op::Conv(conv) => is_light && conv.is_pointwise(),
            op => op.is_pointwise(),
        })
    }
}

#[cfg(test)]
mod tests;
