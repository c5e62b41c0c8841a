//! The GPU executor: hand-written kernels of `shaders/`, on Vulkan, Metal or DirectX 12 through wgpu.
//!
//! A program is lowered to a recording once: dispatches as plain data, which can be printed and tested without
//! a device. A session runs it on batches of images, which stay on the device from window to blended frame.
//!
//! Inside, images are `[row][column][channel]`, channels filled up to whole vectors of four. Every number is computed in a
//! fixed order for its image alone, so that a device repeats its own bits, for any number of images run together.

mod block;
mod constants;
mod dense;
mod device;
mod frame;
mod lower;
mod memory;
mod pack;
mod pass;
mod reading;
mod record;
mod reduction;
mod session;
mod shader;
mod step;
mod submission;
mod timer;
mod traffic;
mod upload;

use std::num::NonZeroUsize;
use std::sync::Arc;

pub use device::{Adapter, AdapterKind, Facts, adapters};
pub use shader::Precision;

use super::{ExecError, Executor, Session};
use crate::nn::Program;
use device::Device;

/// A GPU.
#[derive(Debug)]
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
        Self::with_limits(adapter, precision, adapter.limits())
    }

    /// The same with the limits that every device has that can compute at all.
    ///
    /// # Errors
    /// As [`Gpu::new`].
    pub fn with_least_limits(adapter: &Adapter, precision: Precision) -> Result<Self, ExecError> {
        Self::with_limits(adapter, precision, wgpu::Limits::downlevel_defaults())
    }

    fn with_limits(
        adapter: &Adapter,
        precision: Precision,
        limits: wgpu::Limits,
    ) -> Result<Self, ExecError> {
        Ok(Self {
            device: Arc::new(Device::open(adapter, precision, limits)?),
            facts: adapter.facts.clone(),
            windows: None,
            profile: false,
        })
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

    fn load(&self, program: Arc<Program>) -> Result<Box<dyn Session>, ExecError> {
        let session =
            session::GpuSession::new(self.device.clone(), program, self.windows, self.profile)?;
        Ok(Box::new(session))
    }
}

#[cfg(test)]
mod tests;
