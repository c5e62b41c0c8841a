//! A program made into a recording: chain by chain, pass by pass, each a dispatch or a few.

use super::constants::Constants;
use super::pass::{Core, Pass, passes};
use super::place::{Place, Source, stored_as, vectors, width};
use super::record::{Dispatch, LANES, Recording};
use super::shader::{Kernel, Precision};
use super::split::split;
use super::step::{Step, step};
use super::traffic::Traffic;
use super::tuning::Tuning;
use crate::exec::ExecError;
use crate::nn::{Chain, Conv, Graph, Op, Program, Shape, ValueId};

/// The threads of a workgroup.
pub(super) const THREADS: usize = 64;

/// A partial result of a reduction takes so many vectors.
const PARTIAL: usize = 3;

/// Makes the recording of a program for a kind of device, whose values are stored in that precision.
///
/// # Errors
/// Fails if a program's values cannot be counted in 32 bits.
pub(crate) fn lower(
    program: &Program,
    tuning: Tuning,
    precision: Precision,
) -> Result<Recording, ExecError> {
    let split = split(program, precision);
    let taken = |value: ValueId| vectors_of(&program.graph, &split, value);
    let (places, size) = program.places_by(taken);
    let mut lowering = Lowering {
        graph: &program.graph,
        places: places
            .iter()
            .map(|place| place.as_ref().map(|range| range.start))
            .collect(),
        split,
        constants: Constants::default(),
        dispatches: Vec::new(),
        traffic: Vec::new(),
        learnt: 0,
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
    /// Which values are stored as two numbers for one.
    split: Vec<bool>,
    pub(super) constants: Constants,
    dispatches: Vec<Dispatch>,
    /// What dispatches must read and write, as far as that has been noted.
    traffic: Vec<Traffic>,
    /// The learnt numbers of those, in vectors.
    learnt: u32,
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
        // What nobody has noted is run all the same.
        let dispatches = self.dispatches.len();
        self.traffic.resize(dispatches, Traffic::default());
        Ok(Recording {
            dispatches: self.dispatches,
            traffic: self.traffic,
            constants: self.constants.finish(),
            pitch: self.size,
            // A partial result is counted as one.
            scratch_pitch: self.scratch * PARTIAL,
            input,
            output,
        })
    }

    /// Where a kept value lies.
    pub(super) fn place(&self, value: ValueId) -> Place {
        let offset = self.places[value.index()].unwrap_or(0);
        Place {
            offset: offset as u32,
            shape: self.graph.shape(value),
            split: self.split[value.index()],
        }
    }

    /// Room for something that only this chain needs.
    pub(super) fn room(&mut self, shape: Shape, split: bool) -> Place {
        let place = Place {
            offset: self.next as u32,
            shape,
            split,
        };
        self.next += place.vectors();
        self.size = self.size.max(self.next);
        place
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
                    let moved = result.vectors();
                    self.note([result.shape; 2], moved, moved);
                }
                rest
            }
            _ => &chain.steps,
        };
        let passes = passes(self.graph, steps, source.shape, &self.tuning);
        let mut rest = steps;
        // What the source of the next pass is.
        let mut read_by_source = chain.source.clone();
        // Results of passes that later ones read.
        let mut own: Vec<(ValueId, Place)> = Vec::new();
        let mut tiles = None;
        for (index, pass) in passes.iter().enumerate() {
            let last = index + 1 == passes.len();
            let result = match last && chain.kept {
                true => self.place(pass.result),
                false => {
                    let split = self.split[pass.result.index()];
                    self.room(self.graph.shape(pass.result), split)
                }
            };
            let reduced = last && !chain.reductions.is_empty();
            tiles = self.pass(pass, source, result, &own, reduced);
            let (made, after) = split_after(rest, pass.result);
            rest = after;
            let read = source.vectors() + self.operands(made, &read_by_source);
            read_by_source = vec![pass.result];
            let shape = self.graph.shape(pass.result);
            self.note([source.shape, shape], read, result.vectors());
            own.push((pass.result, result));
            source = Source::one(result);
        }
        if chain.reductions.is_empty() {
            return false;
        }
        let tiles = tiles.unwrap_or_else(|| {
            let tiles = self.reduce(source);
            self.note([source.shape; 2], source.vectors(), 0);
            tiles
        });
        if let Some(conv) = self.squeezed(chain, following) {
            self.squeeze(conv, source.shape, tiles);
            let shape = self.graph.shape(conv);
            self.note([source.shape, shape], 0, self.place(conv).vectors());
            return true;
        }
        for reduction in &chain.reductions {
            self.merge(*reduction, source.shape, tiles);
            let shape = self.graph.shape(*reduction);
            self.note([source.shape, shape], 0, self.place(*reduction).vectors());
        }
        false
    }

    /// How many vectors of values these steps read that are neither their own nor their source.
    fn operands(&self, steps: &[ValueId], source: &[ValueId]) -> usize {
        let mut read: Vec<ValueId> = Vec::new();
        for (index, step) in steps.iter().enumerate() {
            // The first input of the first step is the source, concatenated or not.
            let further = self.graph.node(*step).inputs.iter();
            for input in further.skip(usize::from(index == 0)) {
                if ![steps, source, &read]
                    .iter()
                    .any(|list| list.contains(input))
                {
                    read.push(*input);
                }
            }
        }
        let taken = read
            .iter()
            .map(|value| vectors_of(self.graph, &self.split, *value));
        taken.sum()
    }

    /// Notes what the dispatches that were recorded since the last time must read and write together, in vectors. Where
    /// a source was copied together for them, that is counted as well.
    fn note(&mut self, shapes: [Shape; 2], read: usize, written: usize) {
        let fresh = &self.dispatches[self.traffic.len()..];
        let is_copy = |dispatch: &Dispatch| dispatch.shader.kernel == Kernel::Rearrange;
        let copies = fresh.iter().filter(|dispatch| is_copy(dispatch)).count();
        let others = fresh.len() - copies;
        let learnt = (self.constants.position() - self.learnt) as usize;
        let numbers = |vectors: usize| (LANES * vectors) as u64;
        let bytes = |vectors: usize| size_of::<f32>() as u64 * numbers(vectors);
        let first = fresh.iter().position(|dispatch| !is_copy(dispatch));
        let noted = fresh
            .iter()
            .enumerate()
            .map(|(index, dispatch)| match others {
                0 => Traffic {
                    shapes: Some(shapes),
                    values: numbers((read + written) / copies),
                    ..Traffic::default()
                },
                _ if is_copy(dispatch) => Traffic {
                    shapes: Some([shapes[0]; 2]),
                    values: numbers(2 * vectors(shapes[0]) / copies),
                    ..Traffic::default()
                },
                // The phases of a transposed convolution each read all, and write their part.
                _ => Traffic {
                    shapes: Some(shapes),
                    values: numbers(read + written / others),
                    learnt: match first == Some(index) {
                        true => bytes(learnt / others + learnt % others),
                        false => bytes(learnt / others),
                    },
                    ..Traffic::default()
                },
            });
        self.traffic.extend(noted);
        self.learnt = self.constants.position();
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
                let room = self.room(shape, false);
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

/// How many vectors a value takes.
fn vectors_of(graph: &Graph, split: &[bool], value: ValueId) -> usize {
    stored_as(split[value.index()]) * vectors(graph.shape(value))
}

/// The steps up to the one with that result, and the others.
fn split_after(steps: &[ValueId], result: ValueId) -> (&[ValueId], &[ValueId]) {
    let at = steps.iter().position(|step| *step == result);
    steps.split_at(at.map_or(steps.len(), |at| at + 1))
}

/// The convolution that a value is the result of.
pub(super) fn conv_of(graph: &Graph, value: ValueId) -> Option<&Conv> {
    match &graph.node(value).op {
        Op::Conv(conv) => Some(conv),
        _ => None,
    }
}
