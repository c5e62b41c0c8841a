//! What the CPU's time goes into: each step of a chain by its threads' clocks, what is around the network by the wall's.

use std::time::{Duration, Instant};

use super::prepare::Prepared;
use crate::exec::profile::{Done, Profile, Recorder, shapes};
use crate::nn::{Chain, Op, Program, ValueId};

/// The clock of a thread, read after each step of a strip.
#[derive(Debug)]
pub(super) struct Laps {
    last: Instant,
    /// For each step of a chain, and its reductions.
    times: Vec<Duration>,
}

impl Laps {
    /// For chains of at most so many parts.
    fn new(parts: usize) -> Self {
        Self {
            last: Instant::now(),
            times: vec![Duration::ZERO; parts],
        }
    }

    /// Begins a band.
    pub(super) fn begin(&mut self) {
        self.last = Instant::now();
    }

    /// What has passed since the part before it was this one's time.
    pub(super) fn lap(&mut self, part: usize) {
        let now = Instant::now();
        if let Some(time) = self.times.get_mut(part) {
            *time += now - self.last;
        }
        self.last = now;
    }
}

/// The profile of a network on the CPU.
#[derive(Debug)]
pub(super) struct CpuProfile {
    recorder: Recorder,
    chains: Vec<Vec<Part>>,
    threads: u32,
}

/// A part of a chain.
#[derive(Debug)]
struct Part {
    row: usize,
    /// Of an image.
    flops: u64,
    /// Of kept values, for each image, and of learnt numbers, for all together.
    bytes: u64,
    learnt: u64,
}

impl CpuProfile {
    pub(super) fn new(program: &Program, chains: &[Prepared], threads: usize) -> Self {
        let mut recorder = Recorder::default();
        let both = program.chains.iter().zip(chains);
        let chains = both
            .map(|(chain, prepared)| parts(program, chain, prepared, &mut recorder))
            .collect();
        Self {
            recorder,
            chains,
            threads: threads.max(1) as u32,
        }
    }

    /// A clock for a thread.
    pub(super) fn laps(&self) -> Laps {
        Laps::new(self.chains.iter().map(Vec::len).max().unwrap_or(0))
    }

    /// Notes that a frame or a batch is handed over.
    pub(super) fn begin(&mut self) {
        self.recorder.begin();
    }

    /// Notes that its result is there.
    pub(super) fn end(&mut self) {
        self.recorder.end();
    }

    /// Notes what a chain took of the threads for so many images, and how long merging what its strips gave took then.
    pub(super) fn chain<'a>(
        &mut self,
        chain: usize,
        images: usize,
        threads: impl Iterator<Item = &'a mut Laps>,
        merged: Duration,
    ) {
        let parts = &self.chains[chain];
        let mut times = vec![Duration::ZERO; parts.len()];
        for laps in threads {
            for (part, own) in laps.times.iter_mut().enumerate() {
                let own = std::mem::take(own);
                if let Some(time) = times.get_mut(part) {
                    *time += own;
                }
            }
        }
        for (index, (part, time)) in parts.iter().zip(times).enumerate() {
            let merged = match index + 1 == parts.len() {
                true => merged,
                false => Duration::ZERO,
            };
            let images = images as u64;
            let done = Done {
                calls: 1,
                time: time / self.threads + merged,
                flops: part.flops * images,
                bytes: part.bytes * images + part.learnt,
            };
            self.recorder.add(part.row, done);
        }
    }

    /// Notes what is around the network, which all threads do together.
    pub(super) fn around(&mut self, name: &str, bytes: usize, time: Duration) {
        let row = self.recorder.row(name, "", name);
        let done = Done {
            calls: 1,
            time,
            flops: 0,
            bytes: bytes as u64,
        };
        self.recorder.add(row, done);
    }

    pub(super) fn profile(&self) -> Profile {
        self.recorder.profile()
    }
}

/// The parts of a chain, in order: its steps, but a concatenation that is read in place, and its reductions.
fn parts(
    program: &Program,
    chain: &Chain,
    prepared: &Prepared,
    recorder: &mut Recorder,
) -> Vec<Part> {
    let graph = &program.graph;
    let names = |values: &[ValueId]| {
        let names = values.iter().map(|value| graph.node(*value).op.name());
        names.collect::<Vec<String>>().join(", ")
    };
    let what = names(&[&*chain.steps, &chain.reductions].concat());
    let numbers = |value: ValueId| graph.shape(value).elements();
    let mut source: usize = chain.source.iter().map(|value| numbers(*value)).sum();
    let steps = &chain.steps[chain.steps.len().saturating_sub(prepared.steps())..];
    let mut parts = Vec::with_capacity(steps.len() + 1);
    for (index, step) in steps.iter().enumerate() {
        let node = graph.node(*step);
        let further = node.inputs.iter().skip(1);
        let kept = further.filter(|input| node.op != Op::Concat && !chain.steps.contains(input));
        let read = std::mem::take(&mut source) + kept.map(|input| numbers(*input)).sum::<usize>();
        let written = match chain.kept && index + 1 == steps.len() {
            true => numbers(*step),
            false => 0,
        };
        let input = match index.checked_sub(1) {
            Some(before) => graph.shape(steps[before]),
            None => prepared.input,
        };
        parts.push(Part {
            row: recorder.row(&node.op.name(), &shapes(input, node.shape), &what),
            flops: graph.flops(*step),
            bytes: 4 * (read + written) as u64,
            learnt: 4 * node.op.learnt() as u64,
        });
    }
    if let Some(first) = chain.reductions.first() {
        let reduced = graph.node(*first).shape;
        let written = chain.reductions.iter().map(|value| numbers(*value));
        let flops = chain.reductions.iter().map(|value| graph.flops(*value));
        let shape = shapes(prepared.output, reduced);
        parts.push(Part {
            row: recorder.row(&names(&chain.reductions), &shape, &what),
            flops: flops.sum(),
            bytes: 4 * (source + written.sum::<usize>()) as u64,
            learnt: 0,
        });
    }
    parts
}
