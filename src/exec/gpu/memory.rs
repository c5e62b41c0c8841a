//! What a network takes of a GPU's memory: the values of images run together, and what is around it.

use wgpu::{BindGroup, Buffer, BufferUsages};

use super::device::Device;
use super::record::{Dispatch, LANES, Recording};
use super::shader::Precision;
use super::upload::{grown, slots, write};
use crate::exec::ExecError;

/// The values of images that are run together.
pub(super) struct Memory {
    pub(super) images: usize,
    pub(super) arena: Buffer,
    pub(super) bindings: BindGroup,
}

/// What is around the network, for one frame or batch at a time; grows as it must.
#[derive(Default)]
pub(super) struct Around {
    frame: Option<Buffer>,
    tables: Option<Buffer>,
    pub(super) planes: Option<Buffer>,
    numbers: Option<Buffer>,
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

impl Around {
    /// Makes buffers for what is around the network, and gives them their bindings.
    pub(super) fn surround(
        &mut self,
        device: &Device,
        arena: &Buffer,
        pixels: &[u8],
        tables: &[u32],
        plane_numbers: usize,
        dispatches: &[Dispatch],
    ) -> Result<BindGroup, ExecError> {
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
        let frame = grown(
            device,
            &mut self.frame,
            "a frame",
            pixels.len() as u64,
            storage,
        )?;
        write(device, frame, pixels);
        let tables_bytes: &[u8] = bytemuck::cast_slice(tables);
        let size = tables_bytes.len() as u64;
        let tables = grown(device, &mut self.tables, "tables", size, storage)?;
        write(device, tables, tables_bytes);
        let usage = BufferUsages::STORAGE | BufferUsages::COPY_SRC;
        let planes = grown(device, &mut self.planes, "results", plane_bytes, usage)?;
        let slots = slots(dispatches);
        let usage = BufferUsages::UNIFORM | BufferUsages::COPY_DST;
        let size = 4 * slots.len() as u64;
        let numbers = grown(device, &mut self.numbers, "a frame's numbers", size, usage)?;
        write(device, numbers, bytemuck::cast_slice(&slots));
        Ok(device.bind(true, &[arena, frame, tables, planes, numbers]))
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
