//! Buffers that are filled from here: frames, tables, and the numbers of dispatches.

use wgpu::BufferUsages;

use super::allocation::Allocation;
use super::device::{Device, SLOT};
use super::record::Dispatch;
use crate::exec::ExecError;
use crate::image::Pixels;

/// The numbers of dispatches, each at the beginning of a slot, in words.
pub(super) fn slots<'a>(dispatches: impl IntoIterator<Item = &'a Dispatch>) -> Vec<u32> {
    let mut words = Vec::new();
    for (index, dispatch) in dispatches.into_iter().enumerate() {
        words.extend(dispatch.words());
        words.resize((index + 1) * SLOT / 4, 0);
    }
    words
}

/// A buffer that has at least so many bytes: the one that there is, or a new one.
pub(super) fn grown<'a>(
    device: &Device,
    buffer: &'a mut Option<Allocation>,
    label: &'static str,
    bytes: u64,
    usage: BufferUsages,
) -> Result<&'a Allocation, ExecError> {
    let fits = buffer.as_ref().is_some_and(|buffer| buffer.size() >= bytes);
    if !fits {
        // The memory of what is too small is given back first.
        *buffer = None;
        *buffer = Some(device.buffer(label, bytes, usage)?);
    }
    buffer
        .as_ref()
        .ok_or_else(|| device.failure("a buffer is missing"))
}

/// The bytes of a frame's numbers, as they are.
pub(super) fn bytes<'a>(pixels: &'a Pixels<'_>) -> &'a [u8] {
    match pixels {
        Pixels::U8(list) => list,
        Pixels::U16(list) => bytemuck::cast_slice(list),
        Pixels::I16(list) => bytemuck::cast_slice(list),
        Pixels::U32(list) => bytemuck::cast_slice(list),
        Pixels::I32(list) => bytemuck::cast_slice(list),
        Pixels::F32(list) => bytemuck::cast_slice(list),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::gpu::shader::{Kernel, Shader};

    #[test]
    fn numbers_of_dispatches_lie_in_slots() {
        let dispatch = |number| Dispatch {
            what: String::new(),
            shader: Shader::plain(Kernel::Pointwise),
            numbers: vec![("pitch", number)],
            steps: vec![[7; 4]],
            workgroups: [1, 1],
            flops: 1,
        };
        let words = slots(&[dispatch(1), dispatch(2)]);
        let slot = SLOT / 4;
        assert_eq!(words.len(), 2 * slot);
        // Members are filled up to whole vectors before the steps.
        assert_eq!(words[..8], [1, 0, 0, 0, 7, 7, 7, 7]);
        assert_eq!(words[slot..slot + 5], [2, 0, 0, 0, 7]);
    }
}
