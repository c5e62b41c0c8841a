//! A program made into a recording: chain by chain, pass by pass, each a dispatch or a few.

use super::constants::Constants;
use super::pass::{Core, Pass, passes};
use super::place::{Place, Source, vectors, width};
use super::record::{Dispatch, LANES, Recording};
use super::step::{Step, step};
use super::tuning::Tuning;
use crate::exec::ExecError;
use crate::nn::{Chain, Conv, Graph, Op, Program, Shape, ValueId};

/// The threads of a workgroup.
pub(super) const THREADS: usize = 64;

/// A partial result of a reduction takes so many vectors.
const PARTIAL: usize = 3;

/// Makes the recording of a program for a kind of device.
///
/// # Errors
/// Fails if a program's values cannot be counted in 32 bits.
pub(crate) fn lower(program: &Program, tuning: Tuning) -> Result<Recording, ExecError> {
    let (places, size) = program.places_by(vectors);
    let mut lowering = Lowering {
        graph: &program.graph,
        places: places
            .iter()
            .map(|place| place.as_ref().map(|range| range.start))
            .collect(),
        constants: Constants::default(),
        dispatches: Vec::new(),
        next: size,
        size,
        scratch: 0,
        tuning,
    };
    let mut skip = false;
    for (index, chain) in program.chains.iter().enumerate() {
        if !std::mem::take(&mut skip) {
            lowering.next = size;
            let following = program.chains.get(index + 1);
            skip = lowering.chain(chain, following);
        }
    }
    lowering.finish(program)
}

pub(super) struct Lowering<'a> {
    pub(super) graph: &'a Graph,
    places: Vec<Option<usize>>,
    pub(super) constants: Constants,
    dispatches: Vec<Dispatch>,
    /// The first free vector behind the kept values, for what chains keep to themselves.
    next: usize,
    size: usize,
    scratch: usize,
    pub(super) tuning: Tuning,
}

impl Lowering<'_> {
    fn finish(mut self, program: &Program) -> Result<Recording, ExecError> {
        let input = self.place(program.graph.input_value());
        let output = self.place(program.graph.output());
        let most = u32::MAX as usize / 16;
        let counted = self.size.max(self.scratch);
        if counted > most {
            return Err(ExecError::Unfit {
                what: "the values of one image on a GPU".to_owned(),
                expected: format!("at most {most} vectors"),
                found: counted.to_string(),
            });
        }
        for dispatch in &mut self.dispatches {
            dispatch.set("pitch", self.size as u32);
            dispatch.set("scratch_pitch", self.scratch as u32);
        }
        Ok(Recording {
            dispatches: self.dispatches,
            constants: self.constants.finish(),
            pitch: self.size,
            // A partial result is counted as one.
            scratch_pitch: self.scratch * PARTIAL,
            input: input.offset,
            output: output.offset,
        })
    }

    /// Where a kept value lies.
    pub(super) fn place(&self, value: ValueId) -> Place {
        let offset = self.places[value.index()].unwrap_or(0);
        Place {
            offset: offset as u32,
            shape: self.graph.shape(value),
        }
    }

    /// Room for a value that only this chain needs.
    pub(super) fn room(&mut self, shape: Shape) -> Place {
        let offset = self.next;
        self.next += vectors(shape);
        self.size = self.size.max(self.next);
        Place {
            offset: offset as u32,
            shape,
        }
    }

    pub(super) fn push(&mut self, dispatch: Dispatch) {
        self.dispatches.push(dispatch);
    }

    /// Makes room for the partial results of so many tiles, and those of the whole image.
    pub(super) fn reserve_partials(&mut self, tiles: usize, shape: Shape) {
        let partials = (tiles + 1) * width(shape) as usize;
        self.scratch = self.scratch.max(partials);
    }

    /// Lowers a chain; tells whether the following one has been lowered with it.
    fn chain(&mut self, chain: &Chain, following: Option<&Chain>) -> bool {
        let mut source = self.source(&chain.source);
        let steps = match chain.steps.split_first() {
            Some((first, rest)) if self.graph.node(*first).op == Op::Concat => {
                if rest.is_empty() {
                    let result = self.place(*first);
                    self.concatenate(&chain.source, result);
                    source = Source::one(result);
                }
                rest
            }
            _ => &chain.steps,
        };
        let passes = passes(self.graph, steps, source.shape, &self.tuning);
        // Results of passes that later ones read.
        let mut own: Vec<(ValueId, Place)> = Vec::new();
        let mut tiles = None;
        for (index, pass) in passes.iter().enumerate() {
            let last = index + 1 == passes.len();
            let result = match last && chain.kept {
                true => self.place(pass.result),
                false => self.room(self.graph.shape(pass.result)),
            };
            let reduced = last && !chain.reductions.is_empty();
            tiles = self.pass(pass, source, result, &own, reduced);
            own.push((pass.result, result));
            source = Source::one(result);
        }
        if chain.reductions.is_empty() {
            return false;
        }
        let tiles = tiles.unwrap_or_else(|| self.reduce(source));
        if let Some(conv) = self.squeezed(chain, following) {
            self.squeeze(conv, source.shape, tiles);
            return true;
        }
        for reduction in &chain.reductions {
            self.merge(*reduction, source.shape, tiles);
        }
        false
    }

    /// The values of a chain's source, as kernels read them.
    fn source(&mut self, values: &[ValueId]) -> Source {
        let places: Vec<Place> = values.iter().map(|value| self.place(*value)).collect();
        match places.as_slice() {
            [only] => Source::one(*only),
            [first, second] if first.shape.channels.is_multiple_of(LANES) => Source {
                shape: first
                    .shape
                    .with_channels(first.shape.channels + second.shape.channels),
                first: *first,
                second: Some(*second),
            },
            _ => {
                let channels = places.iter().map(|place| place.shape.channels).sum();
                let shape = places[0].shape.with_channels(channels);
                let room = self.room(shape);
                self.concatenate(values, room);
                Source::one(room)
            }
        }
    }

    /// The numbers of a pass's steps, and their calls.
    pub(super) fn steps(
        &mut self,
        values: &[ValueId],
        own: &[(ValueId, Place)],
    ) -> (Vec<&'static str>, Vec<[u32; 4]>) {
        let mut made: Vec<Step> = Vec::with_capacity(values.len());
        let mut constants = std::mem::take(&mut self.constants);
        for value in values {
            let place = |operand: ValueId| self.operand(operand, own);
            made.push(step(self.graph, *value, &mut constants, place));
        }
        self.constants = constants;
        let calls = made.iter().map(|step| step.call).collect();
        (calls, made.iter().map(|step| step.numbers).collect())
    }

    /// Where a value lies that is kept, or that an earlier pass of the chain has made.
    pub(super) fn operand(&self, value: ValueId, own: &[(ValueId, Place)]) -> Place {
        let found = own.iter().find(|(made, _)| *made == value);
        found.map_or_else(|| self.place(value), |(_, place)| *place)
    }

    /// Lowers a pass. If it has partial moments of its result, gives the number of their tiles.
    fn pass(
        &mut self,
        pass: &Pass,
        source: Source,
        result: Place,
        own: &[(ValueId, Place)],
        reduced: bool,
    ) -> Option<usize> {
        match &pass.core {
            Core::Nothing => self.pointwise(pass, source, result, own),
            Core::Conv { .. } => {
                return self.conv(pass, source, result, own, reduced);
            }
            Core::Depthwise { .. } => return self.depthwise(pass, source, result, own, reduced),
            Core::Across(value) => self.across(pass, *value, source, result, own),
            Core::Rearrange(value) => self.moved(*value, source, result),
            Core::Spread(spread) => return self.spread(spread, source, result, reduced),
            Core::Mix(mix) => self.mix(mix, source, result, own),
        }
        None
    }

    /// What a pass computes, in words.
    pub(super) fn words(&self, values: impl IntoIterator<Item = ValueId>) -> String {
        let names: Vec<String> = values
            .into_iter()
            .map(|value| self.graph.node(value).op.name())
            .collect();
        names.join(", ")
    }
}

/// The convolution that a value is the result of.
pub(super) fn conv_of(graph: &Graph, value: ValueId) -> Option<&Conv> {
    match &graph.node(value).op {
        Op::Conv(conv) => Some(conv),
        _ => None,
    }
}
