//! Results on their way from a GPU.

use std::collections::VecDeque;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use wgpu::{Buffer, BufferUsages, MapMode};

use super::device::Device;
use super::submission::Submissions;
use crate::exec::ExecError;
use crate::progress::Progress;

/// Results that are being read, the earliest first, and buffers for them.
pub(super) struct Readings {
    device: Arc<Device>,
    under_way: VecDeque<Reading>,
    /// Buffers not in use.
    free: Vec<Buffer>,
    /// How many of those are kept.
    kept: usize,
}

/// A result that is being read.
struct Reading {
    buffer: Buffer,
    bytes: u64,
    mapped: mpsc::Receiver<Result<(), wgpu::BufferAsyncError>>,
    /// The submission that it is finished with.
    submission: u64,
}

impl Readings {
    pub(super) fn new(device: Arc<Device>, kept: usize) -> Self {
        Self {
            device,
            under_way: VecDeque::new(),
            free: Vec::new(),
            kept,
        }
    }

    /// A buffer for a result of so many bytes.
    pub(super) fn buffer(&mut self, bytes: u64) -> Result<Buffer, ExecError> {
        match self.free.iter().position(|buffer| buffer.size() >= bytes) {
            Some(at) => Ok(self.free.swap_remove(at)),
            None => self.device.buffer(
                "results",
                bytes,
                BufferUsages::COPY_DST | BufferUsages::MAP_READ,
            ),
        }
    }

    /// Begins to read `bytes` bytes of a buffer that the submission of that number fills.
    pub(super) fn begin(&mut self, buffer: Buffer, bytes: u64, submission: u64) {
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
        submissions: &mut Submissions,
        progress: &dyn Progress,
    ) -> Result<Option<Vec<f32>>, ExecError> {
        let Some(reading) = self.under_way.pop_front() else {
            return Ok(None);
        };
        submissions.wait_through(reading.submission, progress)?;
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
        self.free.truncate(self.kept);
        Ok(Some(numbers))
    }
}
