//! The GPU executor: hand-written kernels of `shaders/`, on Vulkan, Metal or DirectX 12 through wgpu.
//!
//! A program is lowered to a recording once: dispatches as plain data, which can be printed and tested without
//! a device. A session runs it on batches of images, which stay on the device from window to blended frame.
//!
//! Inside, images are `[row][column][channel]`, channels filled up to whole vectors of four. Every number is computed in a
//! fixed order for its image alone, so that a device repeats its own bits, for any number of images run together.

mod allocation;
mod block;
mod constants;
mod dense;
mod depthwise;
mod device;
mod fault;
mod frame;
mod lower;
mod memory;
mod pack;
mod pass;
mod place;
mod pointwise;
mod reading;
mod rearrange;
mod record;
mod reduction;
mod resident;
mod session;
mod shader;
mod split;
mod staging;
mod step;
mod submission;
mod timer;
mod traffic;
mod trusted;
mod tuning;
mod upload;

use std::num::NonZeroUsize;
use std::sync::Arc;

pub use allocation::MEMORY;
pub use device::{Adapter, AdapterKind, Facts, adapters};
pub use shader::Precision;

use super::{ExecError, Executor, Session};
use crate::nn::Program;
use device::Device;
use shader::Kernel;
use trusted::Checks;
use tuning::Tuning;

/// A GPU.
#[derive(Clone, Debug)]
pub struct Gpu {
    device: Arc<Device>,
    facts: Facts,
    windows: Option<NonZeroUsize>,
    profile: bool,
}

impl Gpu {
    /// Opens an adapter with all limits that it offers.
    ///
    /// # Errors
    /// Fails if half precision was asked for and the adapter has none, or if its driver fails.
    pub fn new(adapter: &Adapter, precision: Precision) -> Result<Self, ExecError> {
        Self::tuned_for(adapter, precision, adapter.facts.kind)
    }

    /// The same with the limits that every device has that can compute at all, and with nothing that not all have.
    ///
    /// # Errors
    /// As [`Gpu::new`].
    pub fn with_least_limits(adapter: &Adapter, precision: Precision) -> Result<Self, ExecError> {
        let limits = wgpu::Limits::downlevel_defaults();
        let workgroup = limits.max_compute_workgroup_storage_size as usize;
        let tuning = Tuning::of(adapter.facts.kind, workgroup, false);
        Self::open(adapter, precision, limits, tuning)
    }

    /// Opens an adapter with kernels cut for another kind of adapter, so that those of every kind can be tested on each.
    ///
    /// # Errors
    /// As [`Gpu::new`].
    pub fn tuned_for(
        adapter: &Adapter,
        precision: Precision,
        kind: AdapterKind,
    ) -> Result<Self, ExecError> {
        Self::open(adapter, precision, adapter.limits(), adapter.tuning(kind))
    }

    fn open(
        adapter: &Adapter,
        precision: Precision,
        limits: wgpu::Limits,
        tuning: Tuning,
    ) -> Result<Self, ExecError> {
        let device = Device::open(adapter, precision, limits, tuning, Checks::asked())?;
        Ok(Self {
            device: Arc::new(device),
            facts: adapter.facts.clone(),
            windows: None,
            profile: false,
        })
    }

    /// The same with at most so many bytes of the device's memory, which other programs use too. Set before networks are
    /// loaded.
    #[must_use]
    pub fn with_memory(self, bytes: u64) -> Self {
        self.device.buffers.set_cap(bytes);
        self
    }

    /// The same with at most so many images run together, in place of as many as memory suggests.
    #[must_use]
    pub fn with_windows(mut self, windows: NonZeroUsize) -> Self {
        self.windows = Some(windows);
        self
    }

    /// The same with a profile of each network ([`Session::profile`]), or without one.
    ///
    /// # Errors
    /// Fails if a profile is wanted and the device has no timestamps.
    pub fn with_profile(mut self, profile: bool) -> Result<Self, ExecError> {
        if profile && !self.device.has_timestamps() {
            return Err(self.device.failure(
                "its driver gives no timestamps, of which a profile is made: run without a profile, or make one on \
                 another device; the CPU always can",
            ));
        }
        self.profile = profile;
        Ok(self)
    }

    /// The names of the kernels that run a program on images, or on the windows of frames, in their order.
    ///
    /// # Errors
    /// Fails if the program does not fit the device.
    pub fn kernels(
        &self,
        program: &Program,
        is_frame: bool,
    ) -> Result<Vec<&'static str>, ExecError> {
        let kernels = kernels(program, is_frame, self.device.tuning)?;
        Ok(kernels.into_iter().map(Kernel::name).collect())
    }
}

impl AdapterKind {
    /// In a word or a few: `graphics card`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Discrete => "graphics card",
            Self::Integrated => "part of a processor",
            Self::Virtual => "virtual",
            Self::Other => "other",
            Self::Software => "program on the CPU",
        }
    }
}

/// What [`session`] dispatches for a program, with what is around the network.
fn kernels(program: &Program, is_frame: bool, tuning: Tuning) -> Result<Vec<Kernel>, ExecError> {
    // They are the same in every precision.
    let recording = lower::lower(program, tuning, Precision::Single)?;
    let own = recording
        .dispatches
        .iter()
        .map(|dispatch| dispatch.shader.kernel);
    let (first, last): (_, &[Kernel]) = match is_frame {
        true => (Kernel::Gather, &[Kernel::Blend, Kernel::Finish]),
        false => (Kernel::Enter, &[Kernel::Leave]),
    };
    Ok([first]
        .into_iter()
        .chain(own)
        .chain(last.iter().copied())
        .collect())
}

impl Executor for Gpu {
    fn name(&self) -> String {
        let Facts {
            name,
            backend,
            driver,
            ..
        } = &self.facts;
        let half = match self.device.precision {
            Precision::Single => "",
            Precision::Half => ", float16",
        };
        format!("{name}, {backend}, {driver}{half}")
    }

    fn is_gpu(&self) -> bool {
        true
    }

    fn is_half(&self) -> bool {
        self.device.precision == Precision::Half
    }

    fn load(&self, program: Arc<Program>) -> Result<Box<dyn Session>, ExecError> {
        let session =
            session::GpuSession::new(self.device.clone(), program, self.windows, self.profile)?;
        Ok(Box::new(session))
    }
}

#[cfg(test)]
mod robust;
#[cfg(test)]
mod tests;
