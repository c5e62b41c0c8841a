//! A program made into a recording: chain by chain, pass by pass, each a dispatch or a few.

use super::constants::Constants;
use super::dense::Dense;
use super::pack::Norm;
use super::pass::{Core, Pass, passes};
use super::record::{Dispatch, LANES, Recording, folded};
use super::shader::{Constant, Kernel, Shader};
use super::step::{Step, step};
use super::traffic::Traffic;
use crate::exec::ExecError;
use crate::nn::{Chain, Conv, Graph, Op, Program, Shape, ValueId};

/// The threads of a workgroup.
pub(super) const THREADS: usize = 64;

/// A partial result of a reduction takes so many vectors.
const PARTIAL: usize = 3;

/// Where a value lies in an image, in vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: u32,
    pub(super) shape: Shape,
}

impl Place {
    /// The vectors of a pixel.
    pub(super) fn width(&self) -> u32 {
        width(self.shape)
    }
}

/// The vectors of a pixel.
pub(super) fn width(shape: Shape) -> u32 {
    shape.channels.div_ceil(LANES) as u32
}

/// How many vectors a value takes.
pub(super) fn vectors(shape: Shape) -> usize {
    shape.channels.div_ceil(LANES) * shape.pixels()
}

/// One value, or two whose channels follow each other; the first then fills whole vectors.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    pub(super) shape: Shape,
    first: Place,
    second: Option<Place>,
}

impl Source {
    fn one(place: Place) -> Self {
        Self {
            shape: place.shape,
            first: place,
            second: None,
        }
    }

    /// As `shaders/shared/source.wgsl` has it.
    pub(super) fn numbers(&self) -> [(&'static str, u32); 4] {
        let second = self.second.map_or([0, 0], |p| [p.offset, p.width()]);
        [
            ("source0", self.first.offset),
            ("width0", self.first.width()),
            ("source1", second[0]),
            ("width1", second[1]),
        ]
    }

    pub(super) fn width(&self) -> u32 {
        self.first.width() + self.second.map_or(0, |place| place.width())
    }

    /// How many vectors it takes.
    fn vectors(&self) -> usize {
        self.width() as usize * self.shape.pixels()
    }
}

/// Makes the recording of a program for a device with so much memory for a workgroup, in bytes.
///
/// # Errors
/// Fails if a program's values cannot be counted in 32 bits.
pub(crate) fn lower(program: &Program, workgroup_bytes: usize) -> Result<Recording, ExecError> {
    let (places, size) = program.places_by(vectors);
    let mut lowering = Lowering {
        graph: &program.graph,
        places: places
            .iter()
            .map(|place| place.as_ref().map(|range| range.start))
            .collect(),
        constants: Constants::default(),
        dispatches: Vec::new(),
        traffic: Vec::new(),
        learnt: 0,
        next: size,
        size,
        scratch: 0,
        workgroup_bytes,
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
    /// What dispatches must read and write, as far as that has been noted.
    traffic: Vec<Traffic>,
    /// The learnt numbers of those, in vectors.
    learnt: u32,
    /// The first free vector behind the kept values, for what chains keep to themselves.
    next: usize,
    size: usize,
    scratch: usize,
    pub(super) workgroup_bytes: usize,
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
    fn room(&mut self, shape: Shape) -> Place {
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
                    let moved = vectors(result.shape);
                    self.note([result.shape; 2], moved, moved);
                }
                rest
            }
            _ => &chain.steps,
        };
        let passes = passes(self.graph, steps, source.shape, self.workgroup_bytes);
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
                false => self.room(self.graph.shape(pass.result)),
            };
            let reduced = last && !chain.reductions.is_empty();
            tiles = self.pass(pass, source, result, &own, reduced);
            let (made, after) = split_after(rest, pass.result);
            rest = after;
            let read = source.vectors() + self.operands(made, &read_by_source);
            read_by_source = vec![pass.result];
            let shape = self.graph.shape(pass.result);
            self.note([source.shape, shape], read, vectors(shape));
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
            self.note([source.shape, shape], 0, vectors(shape));
            return true;
        }
        for reduction in &chain.reductions {
            self.merge(*reduction, source.shape, tiles);
            let shape = self.graph.shape(*reduction);
            self.note([source.shape, shape], 0, vectors(shape));
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
        let shapes = read.iter().map(|value| self.graph.shape(*value));
        shapes.map(vectors).sum()
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
                let room = self.room(shape);
                self.concatenate(values, room);
                Source::one(room)
            }
        }
    }

    fn concatenate(&mut self, values: &[ValueId], result: Place) {
        let mut to = 0;
        for value in values {
            let source = self.place(*value);
            let mut moved = Moved::plain(source, result);
            moved.to = to;
            to += source.shape.channels;
            self.rearrange("concatenation", moved);
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
            Core::Depthwise { .. } => self.depthwise(pass, source, result, own),
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

    fn pointwise(&mut self, pass: &Pass, source: Source, result: Place, own: &[(ValueId, Place)]) {
        let (before, steps) = self.steps(&pass.before, own);
        let shader = Shader {
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

    fn across(
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
        self.push(Dispatch {
            what: self.words(pass.before.iter().copied().chain([value])),
            shader: Shader {
                constants: vec![("MODE", Constant::Count(mode))],
                before,
                ..Shader::plain(Kernel::Across)
            },
            numbers,
            steps,
            workgroups: folded(source.shape.pixels().div_ceil(THREADS)),
            flops: 8 * source.shape.elements() as u64,
        });
    }

    /// A source as one value: what is two is copied together, for kernels that read one only.
    pub(super) fn together(&mut self, source: Source) -> Place {
        let Some(second) = source.second else {
            return source.first;
        };
        let room = self.room(source.shape);
        for (place, to) in [(source.first, 0), (second, source.first.shape.channels)] {
            let mut part = Moved::plain(place, room);
            part.to = to;
            self.rearrange("concatenation", part);
        }
        room
    }

    /// An op that moves single numbers.
    fn moved(&mut self, value: ValueId, source: Source, result: Place) {
        let source = self.together(source);
        let mut moved = Moved::plain(source, result);
        moved.channels = result.shape.channels;
        match self.graph.node(value).op {
            Op::Channels { start, .. } => moved.start = start,
            Op::PixelShuffle { factor } => moved.factor = factor,
            Op::Gate => moved.gated = true,
            // Zero padding and cropping: rows and columns are simply more or fewer.
            _ => {}
        }
        self.rearrange(&self.words([value]), moved);
    }

    fn rearrange(&mut self, what: &str, moved: Moved) {
        let (from, to) = (moved.source, moved.result);
        self.push(Dispatch {
            what: what.to_owned(),
            shader: Shader {
                constants: vec![("GATED", Constant::Bool(moved.gated))],
                ..Shader::plain(Kernel::Rearrange)
            },
            numbers: vec![
                ("pitch", 0),
                ("source", from.offset),
                ("source_width", from.width()),
                ("height", from.shape.height as u32),
                ("width", from.shape.width as u32),
                ("result", to.offset),
                ("result_width", to.width()),
                ("rows", to.shape.height as u32),
                ("columns", to.shape.width as u32),
                ("channels", moved.channels as u32),
                ("factor", moved.factor as u32),
                ("start", moved.start as u32),
                ("to", moved.to as u32),
            ],
            steps: Vec::new(),
            workgroups: folded(vectors(to.shape).div_ceil(THREADS)),
            flops: to.shape.elements() as u64,
        });
    }

    fn conv(
        &mut self,
        pass: &Pass,
        source: Source,
        result: Place,
        own: &[(ValueId, Place)],
        reduced: bool,
    ) -> Option<usize> {
        let Core::Conv {
            norm,
            conv: value,
            gate,
            shuffle,
        } = pass.core
        else {
            return None;
        };
        let graph = self.graph;
        let Op::Conv(conv) = &graph.node(value).op else {
            return None;
        };
        let norm_op = norm.map(|norm| &graph.node(norm).op);
        let (before, mut steps) = self.steps(&pass.before, own);
        let (after, numbers) = self.steps(&pass.after, own);
        steps.extend(numbers);
        let named = pass.before.iter().copied().chain(norm).chain([value]);
        let mut what = self.words(named.chain(pass.after.iter().copied()));
        if gate {
            what += ", gate";
        }
        if shuffle.is_some() {
            what += ", pixel shuffle";
        }
        let dense = Dense {
            conv,
            output: graph.shape(value),
            norm: norm_op.and_then(Norm::of),
            gate,
            factor: shuffle,
            source,
            result,
            // A shuffled vector's tile is not that of its channels.
            reduced: reduced && shuffle.is_none(),
            before,
            after,
            steps,
            what,
        };
        let tiles = dense.record(self);
        (reduced && shuffle.is_none()).then_some(tiles)
    }
}

/// A run of the kernel that moves single numbers.
struct Moved {
    source: Place,
    result: Place,
    channels: usize,
    factor: usize,
    start: usize,
    to: usize,
    gated: bool,
}

impl Moved {
    /// All channels of `source`, as they are.
    fn plain(source: Place, result: Place) -> Self {
        Self {
            source,
            result,
            channels: source.shape.channels,
            factor: 1,
            start: 0,
            to: 0,
            gated: false,
        }
    }
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
