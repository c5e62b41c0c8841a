//! A network that is ready to run on a GPU: its buffers, and images through it.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use wgpu::{BindGroup, Buffer, BufferUsages, ComputePipeline, MapMode, PollType, SubmissionIndex};

use super::device::{Device, SLOT};
use super::frame::{Tables, enter, leave};
use super::lower::{Place, lower};
use super::record::{Dispatch, LANES, Recording};
use super::shader::{Precision, Shader};
use super::upload::{bytes, grown, slots, write};
use crate::exec::frame::check;
use crate::exec::{ExecError, Frame, Session};
use crate::nn::Program;
use crate::progress::{Progress, Silent};

/// The most memory that values of images run together take, in bytes, unless one takes more.
const MOST_BYTES: u64 = 1 << 30;

/// The most multiplications and additions of images run together, so that no single dispatch takes long on slow devices.
const MOST_FLOPS: u64 = 64_000_000_000;

/// What is handed to the device at once takes about so long: desktops reset a device that is busy for seconds.
const SUBMISSION: Duration = Duration::from_millis(250);

/// What is handed over first, before it is known how fast the device is: multiplications and additions.
const FIRST_FLOPS: u64 = 2_000_000_000;

/// The most that is handed over before something of it is done.
const MOST_UNDER_WAY: usize = 2;

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
    /// Multiplications and additions that are handed over at once; `None` before it is known how fast the device is.
    budget: Option<u64>,
    submissions: VecDeque<Submission>,
    /// How many there were.
    submitted: u64,
    frames: VecDeque<Reading>,
    /// Buffers for reading results, not in use.
    free: Vec<Buffer>,
}

/// A recording, and the pipeline of each of its dispatches.
struct Loaded {
    recording: Recording,
    pipelines: Vec<ComputePipeline>,
}

/// The values of images that are run together.
struct Memory {
    images: usize,
    arena: Buffer,
    bindings: BindGroup,
}

/// What is around the network, for one frame or batch at a time; grows as it must.
#[derive(Default)]
struct Around {
    frame: Option<Buffer>,
    tables: Option<Buffer>,
    planes: Option<Buffer>,
    numbers: Option<Buffer>,
}

/// What was handed over, and how many windows are finished with it.
struct Submission {
    index: SubmissionIndex,
    number: u64,
    windows: u64,
}

/// A result that is being read.
struct Reading {
    buffer: Buffer,
    bytes: u64,
    mapped: mpsc::Receiver<Result<(), wgpu::BufferAsyncError>>,
    /// The submission that it is finished with.
    submission: u64,
}

/// A dispatch of a batch, ready to be encoded.
struct Item<'a> {
    pipeline: &'a ComputePipeline,
    around: bool,
    offset: u32,
    workgroups: [u32; 3],
    flops: u64,
    /// How many windows are finished with it.
    windows: u64,
}

impl GpuSession {
    pub(super) fn new(
        device: Arc<Device>,
        program: Arc<Program>,
        windows: Option<NonZeroUsize>,
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
            budget: None,
            submissions: VecDeque::new(),
            submitted: 0,
            frames: VecDeque::new(),
            free: Vec::new(),
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
        loop {
            match self.memory(images) {
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

    fn memory(&self, images: usize) -> Result<Memory, ExecError> {
        let count = images as u64;
        let arena = self.device.buffer(
            "values",
            count * image_bytes(&self.device, &self.loaded.recording),
            BufferUsages::STORAGE,
        )?;
        let scratch = self.device.buffer(
            "partial results",
            count * scratch_bytes(&self.loaded.recording),
            BufferUsages::STORAGE,
        )?;
        let buffers = [&arena, &self.constants, &scratch, &self.numbers];
        let bindings = self.device.bind(false, &buffers);
        Ok(Memory {
            images,
            arena,
            bindings,
        })
    }

    /// Hands items over, in parts that do not take long; then the first `bytes` of the planes are read.
    fn hand_over(
        &mut self,
        items: &[Item<'_>],
        bindings: &BindGroup,
        bytes: u64,
        progress: &dyn Progress,
    ) -> Result<(), ExecError> {
        let reading = match self.free.iter().position(|buffer| buffer.size() >= bytes) {
            Some(at) => self.free.swap_remove(at),
            None => self.device.buffer(
                "results",
                bytes,
                BufferUsages::COPY_DST | BufferUsages::MAP_READ,
            )?,
        };
        let mut rest = items;
        while !rest.is_empty() {
            let budget = self.budget.unwrap_or(FIRST_FLOPS);
            let (part, after) = rest.split_at(affordable(rest, budget));
            rest = after;
            let mut encoder = self
                .device
                .device
                .create_command_encoder(&Default::default());
            self.encode(&mut encoder, part, bindings)?;
            if rest.is_empty()
                && let Some(planes) = &self.around.planes
            {
                encoder.copy_buffer_to_buffer(planes, 0, &reading, 0, bytes);
            }
            let begun = Instant::now();
            let index = self.device.queue.submit([encoder.finish()]);
            self.submitted += 1;
            self.submissions.push_back(Submission {
                index,
                number: self.submitted,
                windows: part.iter().map(|item| item.windows).sum(),
            });
            if rest.is_empty() {
                let (sender, mapped) = mpsc::channel();
                reading.map_async(MapMode::Read, ..bytes, move |result| {
                    // Nobody waits for it if the session is gone.
                    let _ = sender.send(result);
                });
                self.frames.push_back(Reading {
                    buffer: reading,
                    bytes,
                    mapped,
                    submission: self.submitted,
                });
                break;
            }
            if self.budget.is_none() {
                // Nothing else is under way: what this takes tells how fast the device is.
                self.wait(0, progress)?;
                let flops: u64 = part.iter().map(|item| item.flops).sum();
                self.budget = Some(affordable_flops(flops, begun.elapsed()));
            }
            self.wait(MOST_UNDER_WAY - 1, progress)?;
        }
        self.device.check()
    }

    fn encode(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        items: &[Item<'_>],
        around: &BindGroup,
    ) -> Result<(), ExecError> {
        let Some(memory) = &self.memory else {
            return Err(self.device.failure("no memory was reserved"));
        };
        let mut pass = encoder.begin_compute_pass(&Default::default());
        for item in items {
            let bindings = if item.around {
                around
            } else {
                &memory.bindings
            };
            pass.set_pipeline(item.pipeline);
            pass.set_bind_group(0, bindings, &[item.offset]);
            let [x, y, z] = item.workgroups;
            pass.dispatch_workgroups(x, y, z);
        }
        Ok(())
    }

    /// Waits until at most so many submissions are under way.
    fn wait(&mut self, most: usize, progress: &dyn Progress) -> Result<(), ExecError> {
        while self.submissions.len() > most {
            if progress.interrupted() {
                return Err(ExecError::Interrupted);
            }
            let Some(first) = self.submissions.pop_front() else {
                break;
            };
            self.wait_for(&first.index)?;
            if first.windows > 0 {
                progress.step(first.windows);
            }
        }
        Ok(())
    }

    fn wait_for(&self, index: &SubmissionIndex) -> Result<(), ExecError> {
        let waited = self.device.device.poll(PollType::Wait {
            submission_index: Some(index.clone()),
            timeout: None,
        });
        self.device.check()?;
        waited.map_err(|error| self.device.failure(error.to_string()))?;
        Ok(())
    }

    /// The result of the earliest frame (or batch) under way.
    fn read(&mut self, progress: &dyn Progress) -> Result<Option<Vec<f32>>, ExecError> {
        let Some(reading) = self.frames.pop_front() else {
            return Ok(None);
        };
        // Later frames' submissions are let run on.
        let before = |submission: &&Submission| submission.number <= reading.submission;
        let own = self.submissions.iter().filter(before).count();
        self.wait(self.submissions.len() - own, progress)?;
        let failed = |message: String| self.device.failure(message);
        match reading.mapped.recv_timeout(Duration::from_secs(60)) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(failed(error.to_string())),
            Err(error) => return Err(failed(format!("a result was not read: {error}"))),
        }
        let view = reading.buffer.get_mapped_range(..reading.bytes);
        let view = view.map_err(|error| failed(error.to_string()))?;
        let numbers = bytemuck::pod_collect_to_vec(&view);
        drop(view);
        reading.buffer.unmap();
        self.free.push(reading.buffer);
        self.free.truncate(DEPTH);
        Ok(Some(numbers))
    }

    /// Makes buffers for what is around the network, and gives them their bindings.
    fn surround(
        &mut self,
        pixels: &[u8],
        tables: &[u32],
        plane_numbers: usize,
        dispatches: &[Dispatch],
    ) -> Result<BindGroup, ExecError> {
        let device = self.device.clone();
        let binding = device.limits.max_storage_buffer_binding_size;
        let plane_bytes = 4 * plane_numbers as u64;
        let largest = plane_bytes.max(pixels.len() as u64);
        if largest > binding {
            return Err(ExecError::Unfit {
                what: format!("a frame on {}", device.name),
                expected: format!("at most {binding} bytes"),
                found: format!("{largest} bytes"),
            });
        }
        let storage = BufferUsages::STORAGE | BufferUsages::COPY_DST;
        let around = &mut self.around;
        let frame = grown(
            &device,
            &mut around.frame,
            "a frame",
            pixels.len() as u64,
            storage,
        )?;
        write(&device, frame, pixels);
        let tables_bytes: &[u8] = bytemuck::cast_slice(tables);
        let size = tables_bytes.len() as u64;
        let tables = grown(&device, &mut around.tables, "tables", size, storage)?;
        write(&device, tables, tables_bytes);
        let usage = BufferUsages::STORAGE | BufferUsages::COPY_SRC;
        let planes = grown(&device, &mut around.planes, "results", plane_bytes, usage)?;
        let slots = slots(dispatches);
        let usage = BufferUsages::UNIFORM | BufferUsages::COPY_DST;
        let size = 4 * slots.len() as u64;
        let numbers = grown(
            &device,
            &mut around.numbers,
            "a frame's numbers",
            size,
            usage,
        )?;
        write(&device, numbers, bytemuck::cast_slice(&slots));
        let Some(memory) = &self.memory else {
            return Err(device.failure("no memory was reserved"));
        };
        Ok(device.bind(true, &[&memory.arena, frame, tables, planes, numbers]))
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
        let mut around = items(&dispatches, &pipelines, true, count);
        let mut all: Vec<Item<'_>> = around.next().into_iter().collect();
        all.extend(items(
            &loaded.recording.dispatches,
            &loaded.pipelines,
            false,
            count,
        ));
        all.extend(around);
        self.hand_over(&all, &bindings, 4 * numbers as u64, &Silent)?;
        let read = self.read(&Silent)?;
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
        Ok(results)
    }

    fn submit(&mut self, frame: Frame<'_>, progress: &dyn Progress) -> Result<(), ExecError> {
        check(&frame, self.program.input(), self.program.output())?;
        let (count, channels) = (frame.windows.count(), self.output.shape.channels);
        let at_once = self.reserve(count)?;
        let loaded = self.loaded.clone();
        let pitch = loaded.recording.pitch;
        let tables = Tables::new(&frame);
        let mut dispatches = Vec::new();
        for first in (0..count).step_by(at_once) {
            let batch = at_once.min(count - first);
            dispatches.push(tables.gather(&frame, self.input, pitch, first));
            dispatches.push(tables.blend(&frame, self.output, pitch, [first, batch]));
        }
        dispatches.push(tables.finish(&frame, channels));
        let shaders: Vec<&Shader> = dispatches.iter().map(|d| &d.shader).collect();
        let pipelines = self.device.pipelines(&shaders)?;
        let [height, width] = frame.windows.frame;
        let pixels = bytes(&frame.pixels);
        let numbers = (channels + 1) * height * width;
        let bindings = self.surround(pixels, &tables.words, numbers, &dispatches)?;
        let mut around = items(&dispatches, &pipelines, true, 1);
        let mut all: Vec<Item<'_>> = Vec::new();
        for first in (0..count).step_by(at_once) {
            let batch = at_once.min(count - first);
            if let Some(mut gather) = around.next() {
                gather.workgroups[2] = batch as u32;
                all.push(gather);
            }
            all.extend(items(
                &loaded.recording.dispatches,
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
        self.read(progress)
    }

    fn depth(&self) -> usize {
        DEPTH
    }
}

/// Dispatches for so many images, whose numbers lie one after another.
fn items<'a>(
    dispatches: &'a [Dispatch],
    pipelines: &'a [ComputePipeline],
    around: bool,
    images: usize,
) -> impl Iterator<Item = Item<'a>> {
    let both = dispatches.iter().zip(pipelines).enumerate();
    both.map(move |(index, (dispatch, pipeline))| Item {
        pipeline,
        around,
        offset: (index * SLOT) as u32,
        workgroups: [
            dispatch.workgroups[0],
            dispatch.workgroups[1],
            images as u32,
        ],
        flops: dispatch.flops * images as u64,
        windows: 0,
    })
}

/// How many of the items, at least one, together stay within a budget.
fn affordable(items: &[Item<'_>], budget: u64) -> usize {
    let mut sum = 0_u64;
    let fitting = items.iter().take_while(|item| {
        sum = sum.saturating_add(item.flops);
        sum <= budget
    });
    fitting.count().max(1)
}

/// How much can be computed in the time that a submission may take, if `flops` took so long.
fn affordable_flops(flops: u64, took: Duration) -> u64 {
    let share = SUBMISSION.as_secs_f64() / took.as_secs_f64().max(1e-6);
    (flops as f64 * share) as u64
}

/// The memory of an image's values, in bytes.
fn image_bytes(device: &Device, recording: &Recording) -> u64 {
    let number = match device.precision {
        Precision::Single => 4,
        Precision::Half => 2,
    };
    (recording.pitch * LANES * number) as u64
}

/// The memory of an image's partial results, in bytes.
fn scratch_bytes(recording: &Recording) -> u64 {
    (recording.scratch_pitch * LANES * size_of::<f32>()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_handed_over_at_once_takes_a_quarter_of_a_second() {
        let second = Duration::from_secs(1);
        assert_eq!(affordable_flops(1_000_000, second), 250_000);
        assert_eq!(affordable_flops(1_000_000, second / 1000), 250_000_000);
        assert!(affordable_flops(1_000_000, Duration::ZERO) > 0);
    }
}
