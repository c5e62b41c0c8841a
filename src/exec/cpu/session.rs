//! A network that is ready to run on the CPU: its memory, and images through it.

use std::collections::VecDeque;
use std::mem;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use pulp::Arch;
use rayon::ThreadPool;
use rayon::prelude::*;

use super::aligned::Aligned;
use super::chain::{Band, Image, Scratch};
use super::frame::{self, Blend};
use super::prepare::{Prepared, place, prepare};
use super::profile::CpuProfile;
use super::{failure, reduce, together};
use crate::exec::frame::{check, sources};
use crate::exec::{ExecError, Frame, Profile, Session};
use crate::nn::{Program, Shape};
use crate::progress::{Progress, Silent};

/// For each thread so many bands, so that all end at about the same time.
const BANDS: usize = 4;

/// A network on the CPU.
pub(super) struct CpuSession {
    pool: Arc<ThreadPool>,
    arch: Arch,
    program: Arc<Program>,
    chains: Vec<Prepared>,
    input: Range<usize>,
    output: Range<usize>,
    /// How many images are run together.
    at_once: usize,
    /// All kept values, image after image.
    arena: Aligned,
    /// One for each thread.
    scratch: Vec<Mutex<Scratch>>,
    /// Partial results of reductions.
    partials: Vec<f64>,
    finished: VecDeque<Vec<f32>>,
    /// If one is made.
    profile: Option<CpuProfile>,
}

impl CpuSession {
    pub(super) fn new(
        pool: Arc<ThreadPool>,
        arch: Arch,
        program: Arc<Program>,
        at_once: usize,
    ) -> Result<Self, ExecError> {
        let chains = prepare(arch, &program)?;
        let scratch = (0..pool.current_num_threads()).map(|_| scratch(&chains).map(Mutex::new));
        Ok(Self {
            input: place(&program, program.graph.input_value())?,
            output: place(&program, program.graph.output())?,
            scratch: scratch.collect::<Result<_, _>>()?,
            pool,
            arch,
            program,
            chains,
            at_once,
            arena: Aligned::default(),
            partials: Vec::new(),
            finished: VecDeque::new(),
            profile: None,
        })
    }

    /// The same with a profile of what it does.
    pub(super) fn with_profile(mut self) -> Self {
        let profile = CpuProfile::new(&self.program, &self.chains, self.scratch.len());
        for scratch in &mut self.scratch {
            let scratch = scratch.get_mut().unwrap_or_else(PoisonError::into_inner);
            scratch.laps = Some(profile.laps());
        }
        self.profile = Some(profile);
        self
    }

    /// Notes what is around the network, which has read and written so many bytes.
    fn note(&mut self, name: &str, bytes: usize, begun: Instant) {
        if let Some(profile) = &mut self.profile {
            profile.around(name, bytes, begun.elapsed());
        }
    }

    /// Makes room for so many images.
    fn reserve(&mut self, images: usize) -> Result<(), ExecError> {
        let numbers = self.program.size.saturating_mul(images);
        if self.arena.len() < numbers {
            self.arena = Aligned::default();
            let arena = Aligned::zeros(numbers);
            self.arena = arena.map_err(|error| {
                failure(format!(
                    "no room for the values of {images} images: {error}"
                ))
            })?;
        }
        Ok(())
    }

    /// Runs all chains on the first `count` images of the arena.
    ///
    /// Each thread runs whole images if that leaves none without work: no thread waits for another at the end of a
    /// chain, and an image's values stay in the caches of one. Else, and where each chain's time is noted, all threads
    /// share each chain.
    fn forward(&mut self, count: usize, progress: &dyn Progress) -> Result<(), ExecError> {
        let pool = self.pool.clone();
        let whole = self.profile.is_none() && count.is_multiple_of(self.scratch.len());
        pool.install(|| {
            if whole {
                return self.run_images(count, progress);
            }
            together::awake(|| {
                for index in 0..self.chains.len() {
                    if progress.interrupted() {
                        return Err(ExecError::Interrupted);
                    }
                    self.run_chain(index, count);
                }
                Ok(())
            })
        })
    }

    /// Runs all chains on each of the first `count` images, by one thread each.
    fn run_images(&mut self, count: usize, progress: &dyn Progress) -> Result<(), ExecError> {
        let per_image = self.chains.iter().map(Prepared::all_partials).max();
        let per_image = per_image.unwrap_or(0).max(1);
        if self.partials.len() < per_image * count {
            self.partials.resize(per_image * count, 0.0);
        }
        let (arch, chains, scratch) = (self.arch, &self.chains, &self.scratch);
        let images = self.arena.par_chunks_exact_mut(self.program.size);
        let partials = self.partials.par_chunks_exact_mut(per_image);
        let images = images.take(count).zip(partials).with_max_len(1);
        images.try_for_each(|(image, partials)| {
            let thread = rayon::current_thread_index().unwrap_or(0);
            let scratch = scratch[thread % scratch.len()].lock();
            let mut scratch = scratch.unwrap_or_else(PoisonError::into_inner);
            for chain in chains {
                if progress.interrupted() {
                    return Err(ExecError::Interrupted);
                }
                let partials = &mut partials[..chain.all_partials()];
                let (others, result) = Image::split(image, chain.result.as_ref());
                let band = Band {
                    arch,
                    chain,
                    image: others,
                    strips: 0..chain.strips(),
                    result,
                    partials,
                };
                band.run(&mut scratch);
                merge(chain, partials, image);
            }
            Ok(())
        })
    }

    /// Runs a chain on the first `count` images, all threads together.
    fn run_chain(&mut self, index: usize, count: usize) {
        let (chain, size) = (&self.chains[index], self.program.size);
        let strips = chain.strips();
        let per_image = chain.all_partials();
        if self.partials.len() < per_image * count {
            self.partials.resize(per_image * count, 0.0);
        }
        let bands = (BANDS * self.scratch.len()).div_ceil(count);
        let strips_per_band = strips.div_ceil(bands);
        let mut tasks = Vec::with_capacity(count * bands);
        let mut partials = &mut self.partials[..per_image * count];
        for image in self.arena.chunks_exact_mut(size).take(count) {
            let (image, mut result) = Image::split(image, chain.result.as_ref());
            for first in (0..strips).step_by(strips_per_band) {
                let strips = first..(first + strips_per_band).min(strips);
                let pixels =
                    (strips.len() * chain.strip).min(chain.output.pixels() - first * chain.strip);
                let numbers = chain
                    .result
                    .as_ref()
                    .map_or(0, |_| pixels * chain.output.channels);
                let (own, rest) = mem::take(&mut result).split_at_mut(numbers);
                result = rest;
                let split = strips.len() * chain.partials();
                let (own_partials, rest) = mem::take(&mut partials).split_at_mut(split);
                partials = rest;
                tasks.push(Band {
                    arch: self.arch,
                    chain,
                    image,
                    strips,
                    result: own,
                    partials: own_partials,
                });
            }
        }
        let scratch = &self.scratch;
        together::each(tasks, |band| {
            let thread = rayon::current_thread_index().unwrap_or(0);
            let scratch = scratch[thread % scratch.len()].lock();
            band.run(&mut scratch.unwrap_or_else(PoisonError::into_inner));
        });
        let begun = Instant::now();
        self.reduce(index, count);
        if let Some(profile) = &mut self.profile {
            let threads = self.scratch.iter_mut().filter_map(|scratch| {
                let scratch = scratch.get_mut().unwrap_or_else(PoisonError::into_inner);
                scratch.laps.as_mut()
            });
            profile.chain(index, count, threads, begun.elapsed());
        }
    }

    /// Merges what the bands of a chain have made for its reductions.
    fn reduce(&mut self, index: usize, count: usize) {
        let chain = &self.chains[index];
        let per_image = chain.all_partials();
        if per_image == 0 {
            return;
        }
        let partials = self.partials[..per_image * count].par_chunks_exact(per_image);
        let images = self.arena.par_chunks_exact_mut(self.program.size);
        images
            .zip(partials)
            .for_each(|(image, partials)| merge(chain, partials, image));
    }

    /// The places of the first `count` images' inputs.
    fn inputs(&mut self, count: usize) -> impl IndexedParallelIterator<Item = &mut [f32]> {
        let place = self.input.clone();
        let images = self.arena.par_chunks_exact_mut(self.program.size);
        images
            .take(count)
            .map(move |image| &mut image[place.clone()])
    }

    /// The results of the first `count` images, `[row][column][channel]`.
    fn outputs(&self, count: usize) -> Vec<&[f32]> {
        let images = self.arena.chunks_exact(self.program.size);
        images
            .take(count)
            .map(|image| &image[self.output.clone()])
            .collect()
    }
}

impl Session for CpuSession {
    fn program(&self) -> &Program {
        &self.program
    }

    fn run(&mut self, images: &[f32], count: usize) -> Result<Vec<f32>, ExecError> {
        let (input, output) = (self.program.input(), self.program.output());
        if Some(images.len()) != input.elements().checked_mul(count) {
            return Err(ExecError::Unfit {
                what: "the network's input".to_owned(),
                expected: format!("{count} images {input}"),
                found: format!("{} numbers", images.len()),
            });
        }
        if let Some(profile) = &mut self.profile {
            profile.begin();
        }
        let mut results = vec![0.0; output.elements() * count];
        let batches = images.chunks(input.elements() * self.at_once);
        let pool = self.pool.clone();
        for (images, results) in batches.zip(results.chunks_mut(output.elements() * self.at_once)) {
            let count = images.len() / input.elements();
            self.reserve(count)?;
            let begun = Instant::now();
            pool.install(|| {
                let images = images.par_chunks_exact(input.elements());
                let inputs = self.inputs(count).zip(images);
                inputs.for_each(|(own, image)| to_channels_last(input, image, own));
            });
            self.note("enter", 8 * images.len(), begun);
            self.forward(count, &Silent)?;
            let begun = Instant::now();
            pool.install(|| {
                let results = results.par_chunks_exact_mut(output.elements());
                let results = results.zip(self.outputs(count));
                results.for_each(|(result, own)| to_planar(output, own, result));
            });
            self.note("leave", 8 * count * output.elements(), begun);
        }
        if let Some(profile) = &mut self.profile {
            profile.end();
        }
        Ok(results)
    }

    fn submit(&mut self, frame: Frame<'_>, progress: &dyn Progress) -> Result<(), ExecError> {
        let (input, output) = (self.program.input(), self.program.output());
        check(&frame, input, output)?;
        if let Some(profile) = &mut self.profile {
            profile.begin();
        }
        let begun = Instant::now();
        let windows = &frame.windows;
        let pool = self.pool.clone();
        let sources = sources(windows);
        let numbers = pool.install(|| frame::scaled(&frame))?;
        let bytes = frame.pixels.kind().size() + size_of::<f32>();
        self.note("scale", bytes * numbers.len(), begun);
        let pixels = windows.frame[0] * windows.frame[1];
        let mut blend = Blend::new(windows, output.channels)?;
        for first in (0..windows.count()).step_by(self.at_once) {
            let count = self.at_once.min(windows.count() - first);
            self.reserve(count)?;
            let begun = Instant::now();
            pool.install(|| {
                let inputs = self.inputs(count).enumerate();
                inputs.for_each(|(index, window)| {
                    frame::gather(&numbers, windows, &sources, first + index, window);
                });
            });
            self.note("gather", 8 * count * input.elements(), begun);
            self.forward(count, progress)?;
            let begun = Instant::now();
            pool.install(|| blend.add(windows, first, &self.outputs(count)));
            let sums = (output.channels + 1) * pixels.min(count * output.pixels());
            self.note("blend", 4 * count * output.elements() + 8 * sums, begun);
            progress.step(count as u64);
        }
        let begun = Instant::now();
        let finished = pool.install(|| blend.finish(&frame));
        self.note("finish", 4 * (2 * output.channels + 1) * pixels, begun);
        self.finished.push_back(finished);
        Ok(())
    }

    fn collect(&mut self, _: &dyn Progress) -> Result<Option<Vec<f32>>, ExecError> {
        let finished = self.finished.pop_front();
        if let (Some(profile), Some(_)) = (&mut self.profile, &finished) {
            profile.end();
        }
        Ok(finished)
    }

    fn profile(&mut self) -> Result<Option<Profile>, ExecError> {
        Ok(self.profile.as_ref().map(CpuProfile::profile))
    }
}

/// Buffers that are large enough for all chains.
fn scratch(chains: &[Prepared]) -> Result<Scratch, ExecError> {
    let count = chains.iter().map(|chain| chain.slots.len()).max();
    let slots = (0..count.unwrap_or(0)).map(|slot| {
        let sizes = chains.iter().filter_map(|chain| chain.slots.get(slot));
        Aligned::zeros(sizes.copied().max().unwrap_or(0))
    });
    let ring = chains.iter().map(|chain| chain.ring).max();
    let buffers = || {
        Ok::<_, std::collections::TryReserveError>(Scratch {
            slots: slots.collect::<Result<_, _>>()?,
            ring: Aligned::zeros(ring.unwrap_or(0))?,
            starts: Vec::new(),
            work: Vec::new(),
            laps: None,
        })
    };
    buffers().map_err(|error| failure(format!("no room for a thread's buffers: {error}")))
}

/// Merges what the strips of a chain have given for its reductions, into an image's values.
fn merge(chain: &Prepared, partials: &[f64], image: &mut [f32]) {
    let (pixels, channels) = (chain.output.pixels(), chain.output.channels);
    let mut first = 0;
    for (reduction, place) in &chain.reductions {
        let own = first..first + reduction.partials(channels);
        first = own.end;
        let strips = partials
            .chunks_exact(chain.partials())
            .enumerate()
            .map(|(strip, partial)| {
                let pixels = chain.strip.min(pixels - strip * chain.strip);
                (&partial[own.clone()], pixels)
            });
        reduce::merge(*reduction, channels, strips, &mut image[place.clone()]);
    }
}

/// `[channel][row][column]` to `[row][column][channel]`.
fn to_channels_last(shape: Shape, planar: &[f32], own: &mut [f32]) {
    for (channel, plane) in planar.chunks_exact(shape.pixels()).enumerate() {
        let numbers = own[channel..].iter_mut().step_by(shape.channels);
        numbers.zip(plane).for_each(|(own, number)| *own = *number);
    }
}

/// `[row][column][channel]` to `[channel][row][column]`.
fn to_planar(shape: Shape, own: &[f32], planar: &mut [f32]) {
    for (channel, plane) in planar.chunks_exact_mut(shape.pixels()).enumerate() {
        let numbers = own[channel..].iter().step_by(shape.channels);
        plane
            .iter_mut()
            .zip(numbers)
            .for_each(|(number, own)| *number = *own);
    }
}
