//! Where a program's kept values lie: memory is given again to what comes after.

use std::ops::Range;

use super::graph::{Graph, ValueId};
use super::program::Chain;

/// Places begin at multiples of so many numbers: a cache line of float32.
const ALIGNMENT: usize = 16;

/// The place of every kept value, and how much all take together, in units of which a value takes so many as `units` says.
pub(super) fn places(
    graph: &Graph,
    chains: &[Chain],
    units: impl Fn(ValueId) -> usize,
) -> (Vec<Option<Range<usize>>>, usize) {
    let last_uses = last_uses(graph, chains);
    let mut memory = Memory::default();
    let mut places: Vec<Option<Range<usize>>> = vec![None; graph.nodes().len()];
    let place = |value: ValueId, memory: &mut Memory| memory.take(units(value));
    let input = graph.input_value();
    places[input.index()] = Some(place(input, &mut memory));
    for (number, chain) in chains.iter().enumerate() {
        for value in chain.results() {
            places[value.index()] = Some(place(value, &mut memory));
        }
        for (value, last_use) in last_uses.iter().enumerate() {
            if *last_use == Some(number)
                && let Some(range) = &places[value]
            {
                memory.give(range.clone());
            }
        }
    }
    (places, memory.size)
}

/// The last chain that needs each value; `None` for what is not kept, and for the output, which is kept to the end.
fn last_uses(graph: &Graph, chains: &[Chain]) -> Vec<Option<usize>> {
    let mut last = vec![None; graph.nodes().len()];
    if !chains.is_empty() {
        last[graph.input_value().index()] = Some(0);
    }
    for (number, chain) in chains.iter().enumerate() {
        for value in chain.results().chain(chain.reads(graph)) {
            last[value.index()] = Some(number);
        }
    }
    last[graph.output().index()] = None;
    last
}

/// Memory whose free parts are known, in order, none touching another.
#[derive(Debug, Default)]
struct Memory {
    size: usize,
    free: Vec<Range<usize>>,
}

impl Memory {
    /// The smallest free part that is large enough, or more memory.
    fn take(&mut self, numbers: usize) -> Range<usize> {
        let needed = numbers.next_multiple_of(ALIGNMENT);
        let fitting = self
            .free
            .iter()
            .enumerate()
            .filter(|(_, part)| part.len() >= needed);
        let best = fitting.min_by_key(|(_, part)| part.len());
        let start = match best.map(|(index, _)| index) {
            Some(index) => {
                let part = &mut self.free[index];
                let start = part.start;
                part.start += needed;
                if part.start == part.end {
                    self.free.remove(index);
                }
                start
            }
            None => {
                // A free part at the end grows.
                let start = match self.free.last() {
                    Some(part) if part.end == self.size => part.start,
                    _ => self.size,
                };
                if start < self.size {
                    self.free.pop();
                }
                self.size = start + needed;
                start
            }
        };
        start..start + numbers
    }

    fn give(&mut self, range: Range<usize>) {
        let range = range.start..range.start + range.len().next_multiple_of(ALIGNMENT);
        let at = self.free.partition_point(|part| part.start < range.start);
        self.free.insert(at, range);
        // Parts that touch become one.
        let mut merged: Vec<Range<usize>> = Vec::with_capacity(self.free.len());
        for part in self.free.drain(..) {
            match merged.last_mut() {
                Some(before) if before.end == part.start => before.end = part.end,
                _ => merged.push(part),
            }
        }
        self.free = merged;
    }
}
