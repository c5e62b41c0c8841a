//! What a network has on a device: its kernels, its learnt numbers, memory for images and frames, and work under way.

use std::sync::Arc;

use wgpu::{BufferUsages, CommandEncoder, ComputePipeline};

use super::allocation::Allocation;
use super::device::Device;
use super::memory::{Around, Memory, Sizes};
use super::reading::Readings;
use super::record::{Dispatch, Recording};
use super::shader::Shader;
use super::staging::Staging;
use super::submission::{Batch, FIRST_FLOPS, Item, Submissions};
use super::traffic::Traffic;
use super::upload::slots;
use crate::exec::ExecError;
use crate::progress::Progress;

/// A network on a device.
pub(super) struct Resident {
    pub(super) device: Arc<Device>,
    pub(super) submissions: Submissions,
    pipelines: Vec<ComputePipeline>,
    constants: Allocation,
    /// What the dispatches of the recording are given, one after another.
    numbers: Allocation,
    memory: Option<Memory>,
    around: Around,
    staging: Staging,
    readings: Readings,
}

/// What is run to make one result.
pub(super) struct Work<'a> {
    /// The numbers of a frame, or of images.
    pub(super) pixels: &'a [u8],
    pub(super) tables: &'a [u32],
    /// How many numbers the kernels around the network write, and how many of them, from the first, are the result.
    pub(super) planes: usize,
    pub(super) result: usize,
    pub(super) stages: Vec<Stage>,
}

/// A part of the work.
pub(super) enum Stage {
    /// A dispatch around the network, for so many images; so many windows are finished with it.
    Around {
        dispatch: Box<Dispatch>,
        traffic: Traffic,
        images: usize,
        windows: usize,
    },
    /// The network on so many images.
    Network { images: usize },
}

impl Resident {
    /// Brings a network to a device. So many results may be under way; with `profile`, what is run is timed.
    pub(super) fn new(
        device: Arc<Device>,
        recording: &Recording,
        depth: usize,
        profile: bool,
    ) -> Result<Self, ExecError> {
        let shaders: Vec<&Shader> = recording.dispatches.iter().map(|d| &d.shader).collect();
        let pipelines = device.pipelines(&shaders)?;
        let learnt = bytemuck::cast_slice(&recording.constants);
        let constants = device.filled("learnt numbers", learnt, BufferUsages::STORAGE)?;
        let slots = slots(&recording.dispatches);
        let slots = bytemuck::cast_slice(&slots);
        let numbers = device.filled("numbers of dispatches", slots, BufferUsages::UNIFORM)?;
        device.check()?;
        Ok(Self {
            submissions: Submissions::new(device.clone(), profile),
            device,
            pipelines,
            constants,
            numbers,
            memory: None,
            around: Around::default(),
            staging: Staging::new(depth),
            readings: Readings::new(depth),
        })
    }

    /// Brings the network to another device, where all that was under way is to be run again.
    pub(super) fn moved(
        &mut self,
        device: Arc<Device>,
        recording: &Recording,
        depth: usize,
    ) -> Result<(), ExecError> {
        let mut new = Self::new(device.clone(), recording, depth, false)?;
        std::mem::swap(&mut new.submissions, &mut self.submissions);
        new.submissions.restart(device);
        *self = new;
        Ok(())
    }

    /// Gives up all that is under way, to be run again, and all memory that can be made anew.
    pub(super) fn abandon(&mut self) {
        // Memory is free when nothing uses it any more. What fails here fails again where it matters.
        let _ = self.device.wait(None);
        self.submissions.restart(self.device.clone());
        self.readings.clear();
        self.staging.clear();
        self.around = Around::default();
        self.memory = None;
        let _ = self.device.wait(None);
        self.device.forget_missing_memory();
    }

    /// Makes room for the values of so many images.
    pub(super) fn reserve(
        &mut self,
        recording: &Recording,
        images: usize,
        progress: &dyn Progress,
    ) -> Result<(), ExecError> {
        let enough = |memory: &Memory| memory.images >= images;
        if self.memory.as_ref().is_some_and(enough) {
            return Ok(());
        }
        // The memory that there was is free when nothing uses it any more.
        self.submissions.wait(0, progress)?;
        self.memory = None;
        let learnt = [&*self.constants, &*self.numbers];
        self.memory = Some(Memory::new(&self.device, recording, learnt, images)?);
        Ok(())
    }

    /// Finds out how fast the device is, if the network on so many images is worth it: it is run once on whatever is in
    /// the memory. A single image is handed over in parts, the first of which tells.
    pub(super) fn measure(
        &mut self,
        recording: &Recording,
        images: usize,
        progress: &dyn Progress,
    ) -> Result<(), ExecError> {
        let flops = recording.flops().saturating_mul(images as u64);
        if self.submissions.is_measured() || images == 1 || flops <= FIRST_FLOPS {
            return Ok(());
        }
        self.reserve(recording, 1, progress)?;
        let Some(memory) = &self.memory else {
            return Ok(());
        };
        let items: Vec<Item<'_>> = network(recording, &self.pipelines, 1).collect();
        let batch = Batch {
            items: &items,
            network: &memory.bindings,
            around: &memory.bindings,
            before: &|_| {},
            after: &|_| {},
            copied: None,
        };
        self.submissions.hand_over(&batch, progress)?;
        self.submissions.wait(0, progress)
    }

    /// Begins work, for which memory was reserved.
    pub(super) fn begin(
        &mut self,
        recording: &Recording,
        work: &Work<'_>,
        progress: &dyn Progress,
    ) -> Result<(), ExecError> {
        let device = self.device.clone();
        let Some(memory) = &self.memory else {
            return Err(device.failure("no memory was reserved"));
        };
        let around: Vec<&Dispatch> = work.stages.iter().filter_map(Stage::around).collect();
        let shaders: Vec<&Shader> = around.iter().map(|d| &d.shader).collect();
        let pipelines = device.pipelines(&shaders)?;
        let numbers = slots(around.iter().copied());
        let parts: [&[u8]; 3] = [
            work.pixels,
            bytemuck::cast_slice(work.tables),
            bytemuck::cast_slice(&numbers),
        ];
        let [frame, tables, numbers] = parts.map(|part| part.len() as u64);
        let planes = 4 * work.planes as u64;
        let sizes = Sizes {
            frame,
            tables,
            planes,
            numbers,
        };
        let bindings = self.around.surround(&device, &memory.arena, sizes)?;
        let bytes = 4 * work.result as u64;
        let reading = self.readings.buffer(&device, bytes)?;
        let upload = self
            .staging
            .fill(&device, &parts, &mut self.submissions, progress)?;
        let targets = self.around.targets();
        let before = |encoder: &mut CommandEncoder| upload.copy(encoder, &targets);
        let after = |encoder: &mut CommandEncoder| {
            if let Some(planes) = &self.around.planes {
                encoder.copy_buffer_to_buffer(planes, 0, &reading, 0, bytes);
            }
        };
        let batch = Batch {
            items: &work.items(recording, &self.pipelines, &pipelines),
            network: &memory.bindings,
            around: &bindings,
            before: &before,
            after: &after,
            copied: Some([frame + tables + numbers, bytes]),
        };
        let [first, last] = self.submissions.hand_over(&batch, progress)?;
        self.staging.used(upload, first);
        self.readings.begin(reading, bytes, last);
        device.check()
    }

    /// The result of the earliest work under way.
    pub(super) fn finish(
        &mut self,
        progress: &dyn Progress,
    ) -> Result<Option<Vec<f32>>, ExecError> {
        self.readings
            .finish(&self.device, &mut self.submissions, progress)
    }
}

impl Stage {
    fn around(&self) -> Option<&Dispatch> {
        match self {
            Self::Around { dispatch, .. } => Some(dispatch),
            Self::Network { .. } => None,
        }
    }
}

impl Work<'_> {
    /// Its dispatches: those of the network, and those around it with their pipelines.
    fn items<'a>(
        &'a self,
        recording: &'a Recording,
        own: &'a [ComputePipeline],
        around: &'a [ComputePipeline],
    ) -> Vec<Item<'a>> {
        let mut items = Vec::new();
        let mut around = around.iter().enumerate();
        for stage in &self.stages {
            match stage {
                Stage::Network { images } => items.extend(network(recording, own, *images)),
                Stage::Around {
                    dispatch,
                    traffic,
                    images,
                    windows,
                } => items.extend(around.next().map(|(place, pipeline)| {
                    Item::new(dispatch, *traffic, pipeline, place, *images).finishing(*windows)
                })),
            }
        }
        items
    }
}

/// The network's dispatches for so many images.
fn network<'a>(
    recording: &'a Recording,
    pipelines: &'a [ComputePipeline],
    images: usize,
) -> impl Iterator<Item = Item<'a>> {
    let both = recording.dispatches.iter().zip(&recording.traffic);
    let all = both.zip(pipelines).enumerate();
    all.map(move |(place, ((dispatch, traffic), pipeline))| {
        Item::new(dispatch, *traffic, pipeline, place, images)
    })
}
