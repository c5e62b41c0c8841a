//! A network that is ready to run on a GPU: images and frames through it, and what is tried again where a device fails.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::Arc;

use super::device::Device;
use super::frame::{Tables, enter, leave};
use super::lower::lower;
use super::memory::{image_bytes, scratch_bytes};
use super::place::Place;
use super::record::Recording;
use super::resident::{Resident, Stage, Work};
use super::shader::Precision;
use super::submission::images_within;
use super::traffic::Traffic;
use super::upload::bytes;
use crate::exec::frame::check;
use crate::exec::profile::Recorder;
use crate::exec::{ExecError, Frame, Profile, Session};
use crate::image::Windows;
use crate::nn::Program;
use crate::progress::{Progress, Silent};

/// The most memory that values of images run together take, in bytes, unless one takes more.
const MOST_BYTES: u64 = 1 << 30;

/// How many frames are under way, so that one is read and another written while the device computes.
pub(super) const DEPTH: usize = 2;

const SMALLER_WINDOWS: &str = "run it with `--device cpu`, or with a smaller `patch_size`";
const ANOTHER_DEVICE: &str = "run it with `--device cpu`, or crop the image";

/// A network on a GPU.
pub(super) struct GpuSession {
    program: Arc<Program>,
    recording: Arc<Recording>,
    input: Place,
    output: Place,
    /// The most images run together.
    at_once: usize,
    /// How many were run together at last.
    together: usize,
    pub(super) resident: Resident,
    /// Frames under way, the earliest first: they are run again if the device fails.
    frames: VecDeque<UnderWay>,
    /// Whether memory is so short that each frame waits for the one before it.
    alone: bool,
    /// Whether the device was lost once, and opened again.
    reopened: bool,
}

/// A frame under way.
struct UnderWay {
    frame: Arc<Frame<'static>>,
    /// Whether the device has it.
    begun: bool,
}

impl GpuSession {
    pub(super) fn new(
        device: Arc<Device>,
        program: Arc<Program>,
        windows: Option<NonZeroUsize>,
        profile: bool,
    ) -> Result<Self, ExecError> {
        let recording = lower(&program, device.tuning, device.precision)?;
        let largest = image_bytes(&device, &recording).max(scratch_bytes(&recording));
        let learnt = size_of_val(&*recording.constants) as u64;
        device.holds("the values of one image", largest, SMALLER_WINDOWS)?;
        device.holds(
            "a network's learnt numbers",
            learnt,
            "run it with `--device cpu`",
        )?;
        let whole = image_bytes(&device, &recording) + scratch_bytes(&recording) + learnt;
        device.holds_together("a network and one image", whole)?;
        let most = device.largest().min(MOST_BYTES.max(largest));
        let at_once = (most / largest.max(1)).clamp(1, 65535) as usize;
        let at_once = windows.map_or(at_once, |windows| windows.get().min(at_once));
        Ok(Self {
            input: recording.input,
            output: recording.output,
            resident: Resident::new(device, &recording, DEPTH, profile)?,
            recording: Arc::new(recording),
            program,
            at_once,
            together: at_once,
            frames: VecDeque::new(),
            alone: false,
            reopened: false,
        })
    }

    #[cfg(test)]
    pub(super) fn at_once(&self) -> usize {
        self.at_once
    }

    /// Makes the device ready for so many images, and says how many of them are run together.
    fn prepare(&mut self, images: usize, progress: &dyn Progress) -> Result<usize, ExecError> {
        let recording = &self.recording;
        self.together = 1;
        self.resident.measure(recording, images, progress)?;
        let timely = images_within(self.resident.submissions.budget(), recording.flops());
        self.together = images.clamp(1, self.at_once.min(timely));
        self.resident.reserve(recording, self.together, progress)?;
        Ok(self.together)
    }

    /// Does something on the device. Where that fails for a reason that may pass, what is under way is begun again, with
    /// fewer images run together; else nothing is under way any more.
    fn persist<T>(
        &mut self,
        mut work: impl FnMut(&mut Self) -> Result<T, ExecError>,
    ) -> Result<T, ExecError> {
        loop {
            let error = match work(self) {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let mended = self.mend(error);
            self.frames.iter_mut().for_each(|frame| frame.begun = false);
            if let Err(error) = mended {
                self.frames.clear();
                self.resident.submissions.taken(u64::MAX);
                self.resident.abandon();
                return Err(error);
            }
        }
    }

    /// Notes a time in the profile, if one is made.
    fn clock(&mut self, note: impl FnOnce(&mut Recorder)) {
        if let Some(timer) = &mut self.resident.submissions.timer {
            note(&mut timer.recorder);
        }
    }

    /// Makes the device usable after an error, if that can be.
    fn mend(&mut self, error: ExecError) -> Result<(), ExecError> {
        let fewer = self.together / 2;
        match error {
            ExecError::OutOfMemory { .. } if fewer > 0 => {
                self.resident.abandon();
                self.at_once = fewer;
                Ok(())
            }
            ExecError::OutOfMemory { .. } if self.frames.len() > 1 && !self.alone => {
                self.resident.abandon();
                self.alone = true;
                Ok(())
            }
            ExecError::Lost { device, message } if self.reopened => Err(ExecError::Lost {
                device,
                message: format!("{message}, once more after it had been opened again"),
            }),
            ExecError::Lost { device, message } => {
                self.reopened = true;
                self.at_once = fewer.max(1);
                let lost = |error: ExecError| ExecError::Lost {
                    device,
                    message: format!("{message}, and it cannot be opened again ({error})"),
                };
                let opened = self.resident.device.reopened();
                let moved = opened.and_then(|opened| {
                    self.resident
                        .moved(Arc::new(opened), &self.recording, DEPTH)
                });
                moved.map_err(lost)
            }
            error => Err(error),
        }
    }

    /// Begins the frames under way that the device does not have: all, or where memory is short the first.
    fn begin_frames(&mut self, progress: &dyn Progress) -> Result<(), ExecError> {
        let most = if self.alone { 1 } else { self.frames.len() };
        for index in 0..most.min(self.frames.len()) {
            if !self.frames[index].begun {
                let frame = Arc::clone(&self.frames[index].frame);
                self.begin(&frame, progress)?;
                self.frames[index].begun = true;
            }
        }
        Ok(())
    }

    fn begin(&mut self, frame: &Frame, progress: &dyn Progress) -> Result<(), ExecError> {
        let (count, channels) = (frame.windows.count(), self.output.shape.channels);
        let together = self.prepare(count, progress)?;
        let pitch = self.recording.pitch;
        let tables = Tables::new(frame);
        let around = |dispatch, traffic, images, windows| Stage::Around {
            dispatch: Box::new(dispatch),
            traffic,
            images,
            windows,
        };
        let mut stages = Vec::new();
        for first in (0..count).step_by(together) {
            let images = together.min(count - first);
            let gather = tables.gather(frame, self.input, pitch, first);
            let blend = tables.blend(frame, self.output, pitch, [first, images]);
            let traffic = Traffic::gather(frame, self.input);
            stages.push(around(gather, traffic, images, 0));
            stages.push(Stage::Network { images });
            let traffic = Traffic::blend(frame, self.output, images);
            stages.push(around(blend, traffic, 1, images));
        }
        let traffic = Traffic::finish(frame, channels);
        stages.push(around(tables.finish(frame, channels), traffic, 1, 0));
        let [height, width] = frame.windows.frame;
        let work = Work {
            pixels: bytes(&frame.pixels),
            tables: &tables.words,
            planes: (channels + 1) * height * width,
            result: channels * height * width,
            stages,
        };
        self.resident.begin(&self.recording, &work, progress)
    }

    /// Runs the network on the first of some images, as many as are run together; their results, and their number.
    fn run_some(&mut self, images: &[f32]) -> Result<(Vec<f32>, usize), ExecError> {
        let size = self.input.shape.elements();
        let images_together = self.prepare(images.len() / size, &Silent)?;
        let pitch = self.recording.pitch;
        let around = |dispatch, place| Stage::Around {
            dispatch: Box::new(dispatch),
            traffic: Traffic::planar(place),
            images: images_together,
            windows: 0,
        };
        let numbers = self.output.shape.elements() * images_together;
        let work = Work {
            pixels: bytemuck::cast_slice(&images[..images_together * size]),
            tables: &[0],
            planes: numbers,
            result: numbers,
            stages: vec![
                around(enter(self.input, pitch), self.input),
                Stage::Network {
                    images: images_together,
                },
                around(leave(self.output, pitch), self.output),
            ],
        };
        self.resident.begin(&self.recording, &work, &Silent)?;
        let read = self.resident.finish(&Silent)?;
        let read = read.ok_or_else(|| self.resident.device.failure("a result is missing"))?;
        Ok((read, images_together))
    }
}

impl Session for GpuSession {
    fn program(&self) -> &Program {
        &self.program
    }

    fn run(&mut self, images: &[f32], count: usize) -> Result<Vec<f32>, ExecError> {
        let input = self.program.input();
        if Some(images.len()) != input.elements().checked_mul(count) {
            return Err(ExecError::Unfit {
                what: "the network's input".to_owned(),
                expected: format!("{count} images {input}"),
                found: format!("{} numbers", images.len()),
            });
        }
        let numbers = self.program.output().elements().saturating_mul(count);
        let mut results = Vec::new();
        let room = results.try_reserve_exact(numbers);
        room.map_err(|error| {
            let message = format!("no room for the results of {count} images: {error}");
            self.resident.device.failure(message)
        })?;
        self.clock(Recorder::begin);
        let mut rest = images;
        while !rest.is_empty() {
            let (some, number) = self.persist(|session| session.run_some(rest))?;
            results.extend(some);
            rest = &rest[number * input.elements()..];
        }
        self.clock(Recorder::end);
        Ok(results)
    }

    fn submit(&mut self, frame: Frame<'_>, progress: &dyn Progress) -> Result<(), ExecError> {
        check(&frame, self.program.input(), self.program.output())?;
        self.fits(&frame.windows, frame.pixels.kind().size())?;
        self.clock(Recorder::begin);
        self.frames.push_back(UnderWay {
            // It may have to be run again when whoever lent it is gone.
            frame: Arc::new(frame.into_owned()),
            begun: false,
        });
        self.persist(|session| session.begin_frames(progress))
    }

    fn collect(&mut self, progress: &dyn Progress) -> Result<Option<Vec<f32>>, ExecError> {
        if self.frames.is_empty() {
            return Ok(None);
        }
        let result = self.persist(|session| {
            session.begin_frames(progress)?;
            session.resident.finish(progress)
        })?;
        if let Some(done) = self.frames.pop_front() {
            let windows = done.frame.windows.count() as u64;
            self.resident.submissions.taken(windows);
        }
        self.clock(Recorder::end);
        Ok(result)
    }

    fn profile(&mut self) -> Result<Option<Profile>, ExecError> {
        self.resident.submissions.profile()
    }

    fn fits(&self, windows: &Windows, bytes: usize) -> Result<(), ExecError> {
        let device = &self.resident.device;
        let [height, width] = windows.frame;
        let pixels = (height as u64).saturating_mul(width as u64);
        let of = |channels: usize, bytes: usize| pixels.saturating_mul((channels * bytes) as u64);
        let (inputs, outputs) = (self.input.shape.channels, self.output.shape.channels);
        let frame = of(inputs, bytes);
        // The last plane is the sum of weights.
        let planes = of(outputs + 1, 4);
        device.holds("a frame", frame.max(planes), ANOTHER_DEVICE)?;
        let staged = frame.saturating_add(of(outputs, 4));
        let whole = staged
            .saturating_add(frame)
            .saturating_add(planes)
            .saturating_add(image_bytes(device, &self.recording))
            .saturating_add(scratch_bytes(&self.recording))
            .saturating_add(size_of_val(&*self.recording.constants) as u64);
        device.holds_together("a frame with its network", whole)
    }

    fn is_half(&self) -> bool {
        self.resident.device.precision == Precision::Half
    }

    fn depth(&self) -> usize {
        if self.alone { 1 } else { DEPTH }
    }
}
