//! Buffers on a device: how large they can be, how many bytes they take together, and a cap where there is one.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wgpu::{Buffer, BufferDescriptor, BufferUsages, ErrorFilter};

use super::device::Device;
use super::fault::Fault;
use crate::exec::ExecError;

/// The variable of the environment that caps what is taken of a GPU's memory, in MiB.
pub const MEMORY: &str = "BUNDLE_GPU_MEMORY";

/// What to do where the cap leaves no room.
const RAISE: &str = "raise or unset the variable BUNDLE_GPU_MEMORY, which allows no more, or run it with `--device cpu`";

/// What a device's buffers take together.
#[derive(Debug)]
pub(super) struct Allocations {
    /// The most that they may take, in bytes.
    cap: AtomicU64,
    held: AtomicU64,
    /// How many buffers were ever made.
    made: AtomicU64,
}

/// A buffer, whose bytes count for as long as it is there.
#[derive(Debug)]
pub(super) struct Allocation {
    buffer: Buffer,
    _share: Share,
}

/// Bytes that are taken, and given back when this is dropped.
#[derive(Debug)]
pub(super) struct Share {
    bytes: u64,
    all: Arc<Allocations>,
}

impl Default for Allocations {
    fn default() -> Self {
        Self {
            cap: AtomicU64::new(u64::MAX),
            held: AtomicU64::new(0),
            made: AtomicU64::new(0),
        }
    }
}

impl Allocations {
    pub(super) fn set_cap(&self, bytes: u64) {
        self.cap.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn cap(&self) -> u64 {
        self.cap.load(Ordering::Relaxed)
    }

    /// Takes so many bytes; `None` if the cap leaves no room for them.
    pub(super) fn take(self: &Arc<Self>, bytes: u64) -> Option<Share> {
        let cap = self.cap();
        let with = |held: u64| held.checked_add(bytes).filter(|sum| *sum <= cap);
        let taken = self
            .held
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, with);
        taken.ok().map(|_| Share {
            bytes,
            all: Arc::clone(self),
        })
    }

    #[cfg(test)]
    pub(super) fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }
}

impl Device {
    /// The largest buffer that kernels can see, in bytes. They count what is in it in 32 bits.
    pub(super) fn largest(&self) -> u64 {
        let binding = self.limits.max_storage_buffer_binding_size;
        let buffer = self.limits.max_buffer_size;
        binding.min(buffer).min(u64::from(u32::MAX))
    }

    /// Fails if something is larger than any buffer can be.
    pub(super) fn holds(
        &self,
        what: &'static str,
        bytes: u64,
        advice: &'static str,
    ) -> Result<(), ExecError> {
        self.at_most(self.largest(), what, bytes, advice)
    }

    /// Fails if things that must be there together are larger than what may be taken.
    pub(super) fn holds_together(&self, what: &'static str, bytes: u64) -> Result<(), ExecError> {
        self.at_most(self.buffers.cap(), what, bytes, RAISE)
    }

    fn at_most(
        &self,
        most: u64,
        what: &'static str,
        bytes: u64,
        advice: &'static str,
    ) -> Result<(), ExecError> {
        match bytes <= most {
            true => Ok(()),
            false => Err(ExecError::TooLarge {
                what,
                device: self.name.clone(),
                most,
                bytes,
                advice,
            }),
        }
    }

    /// A buffer of so many bytes, at least one vector.
    ///
    /// # Errors
    /// Fails if there is no room for it.
    pub(super) fn buffer(
        &self,
        label: &'static str,
        bytes: u64,
        usage: BufferUsages,
    ) -> Result<Allocation, ExecError> {
        self.allocated(label, bytes, usage, false)
    }

    /// The same, ready to be written from here.
    ///
    /// # Errors
    /// As [`Device::buffer`].
    pub(super) fn mapped(
        &self,
        label: &'static str,
        bytes: u64,
        usage: BufferUsages,
    ) -> Result<Allocation, ExecError> {
        self.allocated(label, bytes, usage, true)
    }

    /// A buffer that holds these bytes, whole words.
    ///
    /// # Errors
    /// As [`Device::buffer`].
    pub(super) fn filled(
        &self,
        label: &'static str,
        bytes: &[u8],
        usage: BufferUsages,
    ) -> Result<Allocation, ExecError> {
        let buffer = self.mapped(label, bytes.len() as u64, usage)?;
        let mut view = self.checked(buffer.get_mapped_range_mut(..))?;
        view.slice(..bytes.len()).copy_from_slice(bytes);
        drop(view);
        buffer.unmap();
        Ok(buffer)
    }

    fn allocated(
        &self,
        label: &'static str,
        bytes: u64,
        usage: BufferUsages,
        mapped_at_creation: bool,
    ) -> Result<Allocation, ExecError> {
        let size = bytes.max(16).next_multiple_of(4);
        let Some(share) = self.buffers.take(size) else {
            let cap = self.buffers.cap();
            return Err(ExecError::OutOfMemory {
                device: self.name.clone(),
                message: format!("{bytes} bytes of {label} would be more than the {cap} allowed"),
                advice: RAISE,
            });
        };
        let memory = self.device.push_error_scope(ErrorFilter::OutOfMemory);
        let others = [ErrorFilter::Validation, ErrorFilter::Internal]
            .map(|filter| self.device.push_error_scope(filter));
        let buffer = self.device.create_buffer(&BufferDescriptor {
            label: Some(label),
            size,
            usage,
            mapped_at_creation,
        });
        // In reverse order.
        let errors = others.into_iter().rev().chain([memory]);
        let errors: Vec<Option<wgpu::Error>> = errors
            .map(|scope| pollster::block_on(scope.pop()))
            .collect();
        self.check()?;
        match errors.into_iter().flatten().next() {
            Some(error) => {
                let message = format!("no room for {bytes} bytes of {label}: {error}");
                Err(match error {
                    wgpu::Error::OutOfMemory { .. } => Fault::Memory(message).on(&self.name),
                    _ => self.failure(message),
                })
            }
            None => Ok(share.of(buffer)),
        }
    }
}

impl Share {
    /// The bytes are those of this buffer.
    pub(super) fn of(self, buffer: Buffer) -> Allocation {
        self.all.made.fetch_add(1, Ordering::Relaxed);
        Allocation {
            buffer,
            _share: self,
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.all.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Deref for Allocation {
    type Target = Buffer;

    fn deref(&self) -> &Buffer {
        &self.buffer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_stay_below_the_cap_and_are_given_back() {
        let all = Arc::new(Allocations::default());
        all.set_cap(100);
        let most = all.take(90);
        assert!(most.is_some());
        assert!(all.take(11).is_none());
        assert!(all.take(u64::MAX).is_none());
        let rest = all.take(10);
        assert_eq!(all.held(), 100);
        drop((most, rest));
        assert_eq!(all.held(), 0);
        assert!(all.take(100).is_some());
    }
}
