//! What the device's time went into, as it is reported: the longest first, with shares and speeds.

use std::time::Duration;

use serde::Serialize;

use crate::exec;

/// What the device did for all inputs.
#[derive(Debug, Serialize)]
pub struct Profile {
    /// Those that took longest first.
    pub kernels: Vec<Kernel>,
    /// How long the device was busy: the sum of all kernels' times.
    pub device_seconds: f64,
    /// From the first frame that was handed to the device to the last result.
    pub wall_seconds: f64,
    /// What part of the wall's time the device was busy.
    pub busy: f64,
}

/// What a kernel did; the fields are those of [`exec::KernelTime`].
#[derive(Clone, Debug, Serialize)]
pub struct Kernel {
    pub name: String,
    pub shape: String,
    pub what: String,
    pub calls: u64,
    pub seconds: f64,
    /// Of the device's time.
    pub share: f64,
    pub flops: u64,
    pub bytes: u64,
}

impl Kernel {
    /// Billions of multiplications and additions in a second; `None` if it has none, or took no time that was seen.
    pub fn gflops(&self) -> Option<f64> {
        self.speed(self.flops)
    }

    /// Billions of bytes in a second.
    pub fn gigabytes(&self) -> Option<f64> {
        self.speed(self.bytes)
    }

    fn speed(&self, amount: u64) -> Option<f64> {
        (amount > 0 && self.seconds > 0.0).then(|| amount as f64 / self.seconds / 1e9)
    }
}

impl Profile {
    pub(super) fn of(profile: &exec::Profile) -> Self {
        let share = |part: Duration, whole: Duration| match whole.is_zero() {
            true => 0.0,
            false => part.as_secs_f64() / whole.as_secs_f64(),
        };
        let busy = profile.busy();
        let kernels = profile.kernels.iter().map(|kernel| Kernel {
            name: kernel.name.clone(),
            shape: kernel.shape.clone(),
            what: kernel.what.clone(),
            calls: kernel.calls,
            seconds: kernel.time.as_secs_f64(),
            share: share(kernel.time, busy),
            flops: kernel.flops,
            bytes: kernel.bytes,
        });
        Self {
            kernels: sorted(kernels.collect()),
            device_seconds: busy.as_secs_f64(),
            wall_seconds: profile.wall.as_secs_f64(),
            busy: share(busy, profile.wall),
        }
    }

    /// The kernels, those of one name and the same shapes together, whatever they compute.
    pub fn by_shape(&self) -> Vec<Kernel> {
        let mut merged: Vec<Kernel> = Vec::new();
        for kernel in &self.kernels {
            let is_same =
                |other: &&mut Kernel| (&other.name, &other.shape) == (&kernel.name, &kernel.shape);
            match merged.iter_mut().find(is_same) {
                None => merged.push(kernel.clone()),
                Some(row) => {
                    row.calls += kernel.calls;
                    row.seconds += kernel.seconds;
                    row.share += kernel.share;
                    row.flops += kernel.flops;
                    row.bytes += kernel.bytes;
                }
            }
        }
        sorted(merged)
    }
}

fn sorted(mut kernels: Vec<Kernel>) -> Vec<Kernel> {
    kernels.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    kernels
}
