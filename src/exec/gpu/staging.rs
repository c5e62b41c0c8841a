//! Uploads: a ring of mapped buffers, each used again when the device has read it.

use std::collections::VecDeque;
use std::sync::mpsc;
use std::time::Duration;

use wgpu::{Buffer, BufferUsages, CommandEncoder, MapMode};

use super::allocation::Allocation;
use super::device::Device;
use super::submission::Submissions;
use crate::exec::ExecError;
use crate::progress::Progress;

/// Parts of an upload begin at multiples of so many bytes, as wgpu wants of mapped ranges.
const ALIGNMENT: u64 = 8;

/// How long mapping may take that the device has finished.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// The ring. It holds at most so many buffers, each as large as the largest upload that it had.
pub(super) struct Staging {
    most: usize,
    slots: VecDeque<Slot>,
}

/// A buffer that the device reads, or has read.
struct Slot {
    buffer: Allocation,
    /// The submission that reads it.
    submission: u64,
    mapped: mpsc::Receiver<Result<(), wgpu::BufferAsyncError>>,
}

/// What is to be uploaded: it lies in a buffer of the ring.
pub(super) struct Upload {
    buffer: Allocation,
    /// Where each part begins, and its length in whole words.
    parts: Vec<[u64; 2]>,
}

impl Staging {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            slots: VecDeque::new(),
        }
    }

    /// Gives up all buffers.
    pub(super) fn clear(&mut self) {
        self.slots.clear();
    }

    /// Writes parts into the next buffer of the ring. Each is filled up to whole words.
    pub(super) fn fill(
        &mut self,
        device: &Device,
        parts: &[&[u8]],
        submissions: &mut Submissions,
        progress: &dyn Progress,
    ) -> Result<Upload, ExecError> {
        let mut size = 0_u64;
        let mut places = Vec::with_capacity(parts.len());
        for part in parts {
            let length = (part.len() as u64).next_multiple_of(4);
            places.push([size, length]);
            size = (size + length).next_multiple_of(ALIGNMENT);
        }
        let buffer = self.next(device, size, submissions, progress)?;
        let view = buffer.get_mapped_range_mut(..size);
        let mut view = device.checked(view)?;
        for (part, [at, _]) in parts.iter().zip(&places) {
            let at = *at as usize;
            view.slice(at..at + part.len()).copy_from_slice(part);
        }
        drop(view);
        buffer.unmap();
        Ok(Upload {
            buffer,
            parts: places,
        })
    }

    /// A mapped buffer of at least so many bytes.
    fn next(
        &mut self,
        device: &Device,
        bytes: u64,
        submissions: &mut Submissions,
        progress: &dyn Progress,
    ) -> Result<Allocation, ExecError> {
        // One that is done with is better than another.
        let done = |slot: &Slot| submissions.is_done(slot.submission);
        if (self.slots.len() >= self.most || self.slots.front().is_some_and(done))
            && let Some(slot) = self.slots.pop_front()
        {
            submissions.wait_through(slot.submission, progress)?;
            device.received(&slot.mapped)?;
            if slot.buffer.size() >= bytes {
                return Ok(slot.buffer);
            }
        }
        device.mapped(
            "staging",
            bytes,
            BufferUsages::COPY_SRC | BufferUsages::MAP_WRITE,
        )
    }

    /// The upload is read by the submission of that number; after it, its buffer is used again.
    pub(super) fn used(&mut self, upload: Upload, submission: u64) {
        let buffer = upload.buffer;
        let (sender, mapped) = mpsc::channel();
        buffer.map_async(MapMode::Write, .., move |result| {
            // Nobody waits for it if the session is gone.
            let _ = sender.send(result);
        });
        self.slots.push_back(Slot {
            buffer,
            submission,
            mapped,
        });
    }
}

impl Upload {
    /// Copies each part to the beginning of a buffer.
    pub(super) fn copy(&self, encoder: &mut CommandEncoder, targets: &[&Buffer]) {
        for ([at, length], target) in self.parts.iter().zip(targets) {
            if *length > 0 {
                encoder.copy_buffer_to_buffer(&self.buffer, *at, target, 0, *length);
            }
        }
    }
}
