//! Buffers on a device: counted, and kept below a cap where there is one.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wgpu::Buffer;

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
