//! Results on their way from a GPU.

use std::collections::VecDeque;
use std::sync::mpsc;

use wgpu::{BufferUsages, MapMode};

use super::allocation::Allocation;
use super::device::Device;
use super::submission::Submissions;
use crate::exec::ExecError;
use crate::progress::Progress;

/// Results that are being read, the earliest first, and buffers for them.
pub(super) struct Readings {
    under_way: VecDeque<Reading>,
    /// Buffers not in use.
    free: Vec<Allocation>,
    /// How many of those are kept.
    kept: usize,
}

/// A result that is being read.
struct Reading {
    buffer: Allocation,
    bytes: u64,
    mapped: mpsc::Receiver<Result<(), wgpu::BufferAsyncError>>,
    /// The submission that it is finished with.
    submission: u64,
}

impl Readings {
    pub(super) fn new(kept: usize) -> Self {
        Self {
            under_way: VecDeque::new(),
            free: Vec::new(),
            kept,
        }
    }

    /// Gives up all results and buffers.
    pub(super) fn clear(&mut self) {
        self.under_way.clear();
        self.free.clear();
    }

    /// A buffer for a result of so many bytes.
    pub(super) fn buffer(&mut self, device: &Device, bytes: u64) -> Result<Allocation, ExecError> {
        if let Some(at) = self.free.iter().position(|buffer| buffer.size() >= bytes) {
            return Ok(self.free.swap_remove(at));
        }
        // They are all too small.
        self.free.clear();
        device.buffer(
            "results",
            bytes,
            BufferUsages::COPY_DST | BufferUsages::MAP_READ,
        )
    }

    /// Begins to read `bytes` bytes of a buffer that the submission of that number fills.
    pub(super) fn begin(&mut self, buffer: Allocation, bytes: u64, submission: u64) {
        let (sender, mapped) = mpsc::channel();
        buffer.map_async(MapMode::Read, ..bytes, move |result| {
            // Nobody waits for it if the session is gone.
            let _ = sender.send(result);
        });
        self.under_way.push_back(Reading {
            buffer,
            bytes,
            mapped,
            submission,
        });
    }

    /// The earliest result under way.
    pub(super) fn finish(
        &mut self,
        device: &Device,
        submissions: &mut Submissions,
        progress: &dyn Progress,
    ) -> Result<Option<Vec<f32>>, ExecError> {
        let Some(reading) = self.under_way.pop_front() else {
            return Ok(None);
        };
        submissions.wait_through(reading.submission, progress)?;
        device.received(&reading.mapped)?;
        let view = reading.buffer.get_mapped_range(..reading.bytes);
        let view = device.checked(view)?;
        let numbers = bytemuck::pod_collect_to_vec(&view);
        drop(view);
        reading.buffer.unmap();
        if self.free.len() < self.kept {
            self.free.push(reading.buffer);
        }
        Ok(Some(numbers))
    }
}
