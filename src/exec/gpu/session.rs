//! A network that is ready to run on a GPU: its buffers, and images through it.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

use wgpu::{BindGroup, Buffer, BufferUsages, ComputePipeline};

use super::device::Device;
use super::frame::{Tables, enter, leave};
use super::lower::{Place, lower};
use super::memory::{Around, Memory, image_bytes, scratch_bytes};
use super::reading::Readings;
use super::record::{Dispatch, Recording};
use super::shader::Shader;
use super::submission::{Bindings, Item, Readback, Submissions, items};
use super::traffic::Traffic;
use super::upload::{bytes, slots};
use crate::exec::frame::check;
use crate::exec::{ExecError, Frame, Profile, Session};
use crate::nn::Program;
use crate::progress::{Progress, Silent};

/// The most memory that values of images run together take, in bytes, unless one takes more.
const MOST_BYTES: u64 = 1 << 30;

/// The most multiplications and additions of images run together, so that no single dispatch takes long on slow devices.
const MOST_FLOPS: u64 = 64_000_000_000;

/// How many frames are under way, so that one is read and another written while the device computes.
const DEPTH: usize = 2;

/// A network on a GPU.
pub(super) struct GpuSession {
    device: Arc<Device>,
    program: Arc<Program>,
    loaded: Arc<Loaded>,
    constants: Buffer,
    /// What the dispatches of the recording are given, one after another.
    numbers: Buffer,
    input: Place,
    output: Place,
    /// The most images run together.
    at_once: usize,
    memory: Option<Memory>,
    around: Around,
    submissions: Submissions,
    readings: Readings,
}

/// A recording, and the pipeline of each of its dispatches.
struct Loaded {
    recording: Recording,
    pipelines: Vec<ComputePipeline>,
}

impl GpuSession {
    pub(super) fn new(
        device: Arc<Device>,
        program: Arc<Program>,
        windows: Option<NonZeroUsize>,
        profile: bool,
    ) -> Result<Self, ExecError> {
        let workgroup = device.limits.max_compute_workgroup_storage_size as usize;
        let recording = lower(&program, workgroup)?;
        let binding = device.limits.max_storage_buffer_binding_size;
        let binding = binding.min(device.limits.max_buffer_size);
        let most = binding.min(MOST_BYTES.max(image_bytes(&device, &recording)));
        let fits = |what: &str, bytes: u64| match bytes <= binding {
            true => Ok(()),
            false => Err(ExecError::Unfit {
                what: format!("{what} on {}", device.name),
                expected: format!("at most {binding} bytes"),
                found: format!("{bytes} bytes"),
            }),
        };
        let largest = image_bytes(&device, &recording).max(scratch_bytes(&recording));
        fits("the values of one image", largest)?;
        fits(
            "the network's learnt numbers",
            size_of_val(&*recording.constants) as u64,
        )?;
        let by_memory = (most / largest.max(1)).clamp(1, 65535) as usize;
        let by_time = (MOST_FLOPS / recording.flops().max(1)).max(1) as usize;
        let at_once = by_memory.min(by_time);
        let at_once = windows.map_or(at_once, |windows| windows.get().min(at_once));
        let shaders: Vec<&Shader> = recording.dispatches.iter().map(|d| &d.shader).collect();
        let pipelines = device.pipelines(&shaders)?;
        let constants = device.buffer(
            "learnt numbers",
            size_of_val(&*recording.constants) as u64,
            BufferUsages::STORAGE | BufferUsages::COPY_DST,
        )?;
        let bytes = bytemuck::cast_slice(&recording.constants);
        device.queue.write_buffer(&constants, 0, bytes);
        let slots = slots(&recording.dispatches);
        let numbers = device.buffer(
            "numbers of dispatches",
            size_of_val(&*slots) as u64,
            BufferUsages::UNIFORM | BufferUsages::COPY_DST,
        )?;
        device
            .queue
            .write_buffer(&numbers, 0, bytemuck::cast_slice(&slots));
        device.check()?;
        let place = |offset, shape| Place { offset, shape };
        Ok(Self {
            input: place(recording.input, program.input()),
            output: place(recording.output, program.output()),
            submissions: Submissions::new(device.clone(), profile),
            readings: Readings::new(device.clone(), DEPTH),
            device,
            program,
            loaded: Arc::new(Loaded {
                recording,
                pipelines,
            }),
            constants,
            numbers,
            at_once,
            memory: None,
            around: Around::default(),
        })
    }

    /// Makes room for `images` images run together, or for fewer if that is all that the device has; gives the number.
    fn reserve(&mut self, images: usize) -> Result<usize, ExecError> {
        let mut images = images.clamp(1, self.at_once);
        if let Some(memory) = &self.memory
            && memory.images >= images
        {
            return Ok(images);
        }
        self.memory = None;
        let learnt = [&self.constants, &self.numbers];
        loop {
            match Memory::new(&self.device, &self.loaded.recording, learnt, images) {
                Ok(memory) => {
                    self.memory = Some(memory);
                    return Ok(images);
                }
                Err(error) if images == 1 => return Err(error),
                Err(_) => {
                    images /= 2;
                    self.at_once = images;
                }
            }
        }
    }

    /// Hands items over, then reads the first `bytes` of the planes.
    fn hand_over(
        &mut self,
        items: &[Item<'_>],
        around: &BindGroup,
        bytes: u64,
        progress: &dyn Progress,
    ) -> Result<(), ExecError> {
        let (Some(memory), Some(planes)) = (&self.memory, &self.around.planes) else {
            return Err(self.device.failure("no memory was reserved"));
        };
        let reading = self.readings.buffer(bytes)?;
        let readback = Readback {
            from: planes,
            to: &reading,
            bytes,
        };
        let network = &memory.bindings;
        let bindings = Bindings { network, around };
        let submission = self
            .submissions
            .hand_over(items, bindings, readback, progress)?;
        self.readings.begin(reading, bytes, submission);
        self.device.check()
    }

    /// Makes buffers for what is around the network, and gives them their bindings.
    fn surround(
        &mut self,
        pixels: &[u8],
        tables: &[u32],
        plane_numbers: usize,
        dispatches: &[Dispatch],
    ) -> Result<BindGroup, ExecError> {
        let Some(memory) = &self.memory else {
            return Err(self.device.failure("no memory was reserved"));
        };
        let begun = Instant::now();
        let bindings = self.around.surround(
            &self.device,
            &memory.arena,
            pixels,
            tables,
            plane_numbers,
            dispatches,
        )?;
        if let Some(timer) = &mut self.submissions.timer {
            let bytes = pixels.len() + size_of_val(tables);
            timer.on_host("upload", bytes as u64, begun.elapsed());
        }
        Ok(bindings)
    }

    /// Notes that work is handed over, if a profile is made.
    fn begin(&mut self) {
        if let Some(timer) = &mut self.submissions.timer {
            timer.recorder.begin();
        }
    }

    /// Notes that a result is there.
    fn end(&mut self) {
        if let Some(timer) = &mut self.submissions.timer {
            timer.recorder.end();
        }
    }

    /// Runs the network on at most as many images as are run together.
    fn run_batch(&mut self, images: &[f32], count: usize) -> Result<Vec<f32>, ExecError> {
        let loaded = self.loaded.clone();
        let pitch = loaded.recording.pitch;
        let dispatches = [enter(self.input, pitch), leave(self.output, pitch)];
        let pipelines = self
            .device
            .pipelines(&dispatches.each_ref().map(|d| &d.shader))?;
        let numbers = self.output.shape.elements() * count;
        let pixels = bytemuck::cast_slice(images);
        let bindings = self.surround(pixels, &[0], numbers, &dispatches)?;
        let traffic = [self.input, self.output].map(Traffic::planar);
        let mut around = items(&dispatches, &traffic, &pipelines, true, count);
        let mut all: Vec<Item<'_>> = around.next().into_iter().collect();
        all.extend(items(
            &loaded.recording.dispatches,
            &loaded.recording.traffic,
            &loaded.pipelines,
            false,
            count,
        ));
        all.extend(around);
        self.hand_over(&all, &bindings, 4 * numbers as u64, &Silent)?;
        let read = self.readings.finish(&mut self.submissions, &Silent)?;
        read.ok_or_else(|| self.device.failure("a result is missing"))
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
        self.begin();
        let numbers = self.program.output().elements().saturating_mul(count);
        let mut results = Vec::new();
        let room = results.try_reserve_exact(numbers);
        room.map_err(|error| {
            let message = format!("no room for the results of {count} images: {error}");
            self.device.failure(message)
        })?;
        let mut rest = images;
        while !rest.is_empty() {
            let batch = self.reserve(rest.len() / input.elements())?;
            let (images, after) = rest.split_at(batch * input.elements());
            rest = after;
            results.extend(self.run_batch(images, batch)?);
        }
        self.end();
        Ok(results)
    }

    fn submit(&mut self, frame: Frame, progress: &dyn Progress) -> Result<(), ExecError> {
        check(&frame, self.program.input(), self.program.output())?;
        self.begin();
        let (count, channels) = (frame.windows.count(), self.output.shape.channels);
        let at_once = self.reserve(count)?;
        let loaded = self.loaded.clone();
        let pitch = loaded.recording.pitch;
        let tables = Tables::new(&frame);
        let (mut dispatches, mut traffic) = (Vec::new(), Vec::new());
        for first in (0..count).step_by(at_once) {
            let batch = at_once.min(count - first);
            dispatches.push(tables.gather(&frame, self.input, pitch, first));
            dispatches.push(tables.blend(&frame, self.output, pitch, [first, batch]));
            traffic.push(Traffic::gather(&frame, self.input));
            traffic.push(Traffic::blend(&frame, self.output, batch));
        }
        dispatches.push(tables.finish(&frame, channels));
        traffic.push(Traffic::finish(&frame, channels));
        let shaders: Vec<&Shader> = dispatches.iter().map(|d| &d.shader).collect();
        let pipelines = self.device.pipelines(&shaders)?;
        let [height, width] = frame.windows.frame;
        let pixels = bytes(&frame.pixels);
        let numbers = (channels + 1) * height * width;
        let bindings = self.surround(pixels, &tables.words, numbers, &dispatches)?;
        let mut around = items(&dispatches, &traffic, &pipelines, true, 1);
        let mut all: Vec<Item<'_>> = Vec::new();
        for first in (0..count).step_by(at_once) {
            let batch = at_once.min(count - first);
            if let Some(mut gather) = around.next() {
                gather.workgroups[2] = batch as u32;
                all.push(gather);
            }
            all.extend(items(
                &loaded.recording.dispatches,
                &loaded.recording.traffic,
                &loaded.pipelines,
                false,
                batch,
            ));
            if let Some(mut blend) = around.next() {
                blend.windows = batch as u64;
                all.push(blend);
            }
        }
        all.extend(around);
        let read = 4 * (channels * height * width) as u64;
        self.hand_over(&all, &bindings, read, progress)
    }

    fn collect(&mut self, progress: &dyn Progress) -> Result<Option<Vec<f32>>, ExecError> {
        let read = self.readings.finish(&mut self.submissions, progress)?;
        if read.is_some() {
            self.end();
        }
        Ok(read)
    }

    fn profile(&mut self) -> Result<Option<Profile>, ExecError> {
        self.submissions.profile()
    }

    fn depth(&self) -> usize {
        DEPTH
    }
}
