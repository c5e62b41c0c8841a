//! What a GPU's time goes into: timestamps before and after each dispatch, which then has a pass of its own.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use wgpu::{
    BufferUsages, CommandEncoder, ComputePassDescriptor, ComputePassTimestampWrites, MapMode,
    QuerySet, QuerySetDescriptor, QueryType,
};

use super::allocation::Allocation;
use super::device::Device;
use super::record::Dispatch;
use super::submission::{Batch, Item, Part, dispatch};
use crate::exec::ExecError;
use crate::exec::profile::{Done, Profile, Recorder, shapes};

/// The most dispatches that are handed over at once when they are timed: with two timestamps each, and around an upload
/// and a readback, half of what a set may have.
pub(super) const MOST_TIMED: usize = 1022;

/// The timestamps of a submission.
const QUERIES: u32 = 2 * (MOST_TIMED as u32 + 2);

/// A timestamp's bytes.
const STAMP: u64 = 8;

/// Makes the profile of a network on a GPU.
pub(super) struct Timer {
    device: Arc<Device>,
    pub(super) recorder: Recorder,
    /// Not in use.
    free: Vec<Stamps>,
}

/// Timestamps, and buffers through which they are read.
struct Stamps {
    queries: QuerySet,
    resolved: Allocation,
    read: Allocation,
}

/// The timestamps of a submission, in pairs, and what was done between those of each.
pub(super) struct Timing {
    stamps: Stamps,
    done: Vec<(usize, Done)>,
    mapped: Option<mpsc::Receiver<Result<(), wgpu::BufferAsyncError>>>,
}

impl Timer {
    pub(super) fn new(device: Arc<Device>) -> Self {
        Self {
            device,
            recorder: Recorder::default(),
            free: Vec::new(),
        }
    }

    pub(super) fn profile(&self) -> Profile {
        self.recorder.profile()
    }

    /// Goes on with the device that has taken the place of this one, or with the same.
    pub(super) fn restart(&mut self, device: Arc<Device>) {
        self.free.clear();
        self.device = device;
    }

    /// Encodes a part of a batch, at most [`MOST_TIMED`] dispatches, with timestamps around each and around what is copied
    /// before and after them.
    pub(super) fn encode(
        &mut self,
        encoder: &mut CommandEncoder,
        part: Part<'_>,
        batch: &Batch<'_>,
        [uploaded, read]: [u64; 2],
    ) -> Result<Timing, ExecError> {
        let stamps = match self.free.pop() {
            Some(stamps) => stamps,
            None => Stamps::new(&self.device)?,
        };
        let mut done = Vec::with_capacity(part.items.len() + 2);
        if part.is_first {
            stamps.around(encoder, done.len(), batch.before);
            done.push(self.copied("upload", uploaded));
        }
        for item in part.items {
            let first = 2 * done.len() as u32;
            let mut pass = encoder.begin_compute_pass(&ComputePassDescriptor {
                label: None,
                timestamp_writes: Some(ComputePassTimestampWrites {
                    query_set: &stamps.queries,
                    beginning_of_pass_write_index: Some(first),
                    end_of_pass_write_index: Some(first + 1),
                }),
            });
            dispatch(&mut pass, item, batch);
            drop(pass);
            done.push(self.of(item));
        }
        if part.is_last {
            stamps.around(encoder, done.len(), batch.after);
            done.push(self.copied("readback", read));
        }
        let count = 2 * done.len() as u32;
        encoder.resolve_query_set(&stamps.queries, 0..count, &stamps.resolved, 0);
        let bytes = STAMP * u64::from(count);
        encoder.copy_buffer_to_buffer(&stamps.resolved, 0, &stamps.read, 0, bytes);
        Ok(Timing {
            stamps,
            done,
            mapped: None,
        })
    }

    /// The row of a copy, and what it does.
    fn copied(&mut self, name: &str, bytes: u64) -> (usize, Done) {
        let done = Done {
            calls: 1,
            bytes,
            ..Done::default()
        };
        (self.recorder.row(name, "", name), done)
    }

    /// The row of a dispatch, and what it does.
    fn of(&mut self, item: &Item<'_>) -> (usize, Done) {
        let (traffic, images) = (item.traffic, u64::from(item.workgroups[2]));
        let row = match traffic.shapes {
            Some([input, output]) => {
                let name = name(item.dispatch);
                let what = &item.dispatch.what;
                self.recorder.row(&name, &shapes(input, output), what)
            }
            None => {
                let name = item.dispatch.shader.kernel.name();
                self.recorder.row(name, "", name)
            }
        };
        let done = Done {
            calls: 1,
            time: Duration::ZERO,
            flops: match traffic.shapes {
                Some(_) => item.dispatch.flops * images,
                None => 0,
            },
            bytes: traffic.bytes(self.device.precision, images),
        };
        (row, done)
    }

    /// Reads the timestamps of a submission that is done.
    pub(super) fn finish(&mut self, timing: Timing) -> Result<(), ExecError> {
        let failed = |message: String| self.device.failure(format!("timestamps: {message}"));
        let mapped = timing.mapped.as_ref();
        match mapped.map(|mapped| mapped.recv_timeout(Duration::from_secs(60))) {
            Some(Ok(Ok(()))) => {}
            Some(Ok(Err(error))) => return Err(failed(error.to_string())),
            Some(Err(error)) => return Err(failed(error.to_string())),
            None => return Err(failed("they were not read".to_owned())),
        }
        let read = &timing.stamps.read;
        let view = read.get_mapped_range(..timing.bytes());
        let view = view.map_err(|error| failed(error.to_string()))?;
        let stamps: Vec<u64> = bytemuck::pod_collect_to_vec(&view);
        drop(view);
        read.unmap();
        let tick = f64::from(self.device.queue.get_timestamp_period());
        for ((row, done), pair) in timing.done.into_iter().zip(stamps.chunks_exact(2)) {
            // A device that set its clock back in between has no time for this.
            let ticks = pair[1].saturating_sub(pair[0]);
            let time = Duration::from_nanos((ticks as f64 * tick) as u64);
            self.recorder.add(row, Done { time, ..done });
        }
        self.free.push(timing.stamps);
        Ok(())
    }
}

impl Timing {
    fn bytes(&self) -> u64 {
        2 * STAMP * self.done.len() as u64
    }

    /// Begins to read the timestamps, which have been handed over.
    pub(super) fn read(&mut self) {
        let (sender, mapped) = mpsc::channel();
        let bytes = self.bytes();
        let read = &self.stamps.read;
        read.map_async(MapMode::Read, ..bytes, move |result| {
            // Nobody waits for it if the session is gone.
            let _ = sender.send(result);
        });
        self.mapped = Some(mapped);
    }
}

impl Stamps {
    fn new(device: &Device) -> Result<Self, ExecError> {
        let bytes = STAMP * u64::from(QUERIES);
        let queries = device.device.create_query_set(&QuerySetDescriptor {
            label: Some("timestamps"),
            ty: QueryType::Timestamp,
            count: QUERIES,
        });
        device.check()?;
        let resolved = BufferUsages::QUERY_RESOLVE | BufferUsages::COPY_SRC;
        let read = BufferUsages::COPY_DST | BufferUsages::MAP_READ;
        Ok(Self {
            queries,
            resolved: device.buffer("timestamps", bytes, resolved)?,
            read: device.buffer("timestamps", bytes, read)?,
        })
    }

    /// Notes the times before and after what `copy` writes, as the pair of that place.
    fn around(
        &self,
        encoder: &mut CommandEncoder,
        pair: usize,
        copy: &dyn Fn(&mut CommandEncoder),
    ) {
        let first = 2 * pair as u32;
        self.mark(encoder, first);
        copy(encoder);
        self.mark(encoder, first + 1);
    }

    /// Notes the time between two commands, by a pass that does nothing: that is where all devices can.
    fn mark(&self, encoder: &mut CommandEncoder, at: u32) {
        encoder.begin_compute_pass(&ComputePassDescriptor {
            label: None,
            timestamp_writes: Some(ComputePassTimestampWrites {
                query_set: &self.queries,
                beginning_of_pass_write_index: None,
                end_of_pass_write_index: Some(at),
            }),
        });
    }
}

/// A dispatch's kernel, with the taps of a convolution: `conv 3x3`.
fn name(dispatch: &Dispatch) -> String {
    let kernel = dispatch.shader.kernel.name();
    match (dispatch.number("taps_y"), dispatch.number("taps_x")) {
        (Some(rows), Some(columns)) => format!("{kernel} {rows}x{columns}"),
        _ => kernel.to_owned(),
    }
}
