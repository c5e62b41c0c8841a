//! What a network takes of a GPU's memory: the values of images run together, and what is around it.

use wgpu::{BindGroup, Buffer, BufferUsages};

use super::allocation::Allocation;
use super::device::Device;
use super::record::{LANES, Recording};
use super::shader::Precision;
use super::upload::grown;
use crate::exec::ExecError;

/// The values of images that are run together.
pub(super) struct Memory {
    pub(super) images: usize,
    pub(super) arena: Allocation,
    pub(super) bindings: BindGroup,
}

/// What is around the network, for one frame or batch at a time; grows as it must.
#[derive(Default)]
pub(super) struct Around {
    frame: Option<Allocation>,
    tables: Option<Allocation>,
    pub(super) planes: Option<Allocation>,
    numbers: Option<Allocation>,
}

impl Memory {
    /// Makes room for the values of `images` images, and binds it with the network's learnt numbers and those of its
    /// dispatches.
    pub(super) fn new(
        device: &Device,
        recording: &Recording,
        [constants, numbers]: [&Buffer; 2],
        images: usize,
    ) -> Result<Self, ExecError> {
        let count = images as u64;
        let arena = device.buffer(
            "values",
            count * image_bytes(device, recording),
            BufferUsages::STORAGE,
        )?;
        let scratch = device.buffer(
            "partial results",
            count * scratch_bytes(recording),
            BufferUsages::STORAGE,
        )?;
        let bindings = device.bind(false, &[&arena, constants, &scratch, numbers]);
        Ok(Self {
            images,
            arena,
            bindings,
        })
    }
}

/// How many bytes there are of each thing around a network.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub(super) frame: u64,
    pub(super) tables: u64,
    pub(super) planes: u64,
    pub(super) numbers: u64,
}

impl Around {
    /// Makes buffers of these sizes, and gives them their bindings.
    pub(super) fn surround(
        &mut self,
        device: &Device,
        arena: &Buffer,
        sizes: Sizes,
    ) -> Result<BindGroup, ExecError> {
        let written = BufferUsages::STORAGE | BufferUsages::COPY_DST;
        let read = BufferUsages::STORAGE | BufferUsages::COPY_SRC;
        let uniform = BufferUsages::UNIFORM | BufferUsages::COPY_DST;
        let frame = grown(device, &mut self.frame, "a frame", sizes.frame, written)?;
        let tables = grown(device, &mut self.tables, "tables", sizes.tables, written)?;
        let planes = grown(device, &mut self.planes, "sums", sizes.planes, read)?;
        let numbers = grown(
            device,
            &mut self.numbers,
            "a frame's numbers",
            sizes.numbers,
            uniform,
        )?;
        Ok(device.bind(true, &[arena, frame, tables, planes, numbers]))
    }

    /// What uploads go into: the frame, the tables, the numbers.
    pub(super) fn targets(&self) -> Vec<&Buffer> {
        let all = [&self.frame, &self.tables, &self.numbers];
        all.into_iter().flatten().map(|buffer| &**buffer).collect()
    }
}

/// The memory of an image's values, in bytes.
pub(super) fn image_bytes(device: &Device, recording: &Recording) -> u64 {
    (recording.pitch * LANES) as u64 * number_bytes(device.precision)
}

/// The memory of a number of a value, in bytes.
pub(super) fn number_bytes(precision: Precision) -> u64 {
    match precision {
        Precision::Single => 4,
        Precision::Half => 2,
    }
}

/// The memory of an image's partial results, in bytes.
pub(super) fn scratch_bytes(recording: &Recording) -> u64 {
    (recording.scratch_pitch * LANES * size_of::<f32>()) as u64
}
