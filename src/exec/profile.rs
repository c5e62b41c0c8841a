//! What the time of a run went into, kernel by kernel: the same for every executor.

use std::time::{Duration, Instant};

use crate::nn::Shape;

/// What a session's device did since the session was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// In the order in which they first ran; no two have the same name, shapes and words.
    pub kernels: Vec<KernelTime>,
    /// From the first frame that was handed over to the last result, reading and writing of files between them included.
    pub wall: Duration,
}

/// What a kernel did, in all its calls that compute the same for values of the same shapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelTime {
    /// The kernel: on a GPU its file in `shaders/`, `conv 3x3`; on the CPU the op, `3x3 convolution`. What is around a
    /// network has a row as well: `upload`, `gather`, `blend`, `finish`, `readback`.
    pub name: String,
    /// The channels that go in and come out, and the rows and columns that come out: `32->64 128x128`. Empty for what is
    /// around the network.
    pub shape: String,
    /// The ops of the dispatch, or of the chain that it is a step of.
    pub what: String,
    /// How often it was handed to the device: once for each batch of windows.
    pub calls: u64,
    /// How long the device had it. On the CPU: the time of its threads, divided by their number.
    pub time: Duration,
    /// Multiplications and additions, about; 0 for what is around the network.
    pub flops: u64,
    /// What it must at least have read and written: values, each once in a call, and learnt numbers.
    pub bytes: u64,
}

impl Profile {
    /// How long the device was busy.
    pub fn busy(&self) -> Duration {
        self.kernels.iter().map(|kernel| kernel.time).sum()
    }
}

/// The shapes of a kernel's values in a word, as [`KernelTime::shape`] has them.
pub(super) fn shapes(input: Shape, output: Shape) -> String {
    let Shape {
        channels,
        height,
        width,
    } = output;
    format!("{}->{channels} {height}x{width}", input.channels)
}

/// What a kernel did in some of its calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) calls: u64,
    pub(super) time: Duration,
    pub(super) flops: u64,
    pub(super) bytes: u64,
}

/// A profile that is being made.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    kernels: Vec<KernelTime>,
    begun: Option<Instant>,
    ended: Option<Instant>,
}

impl Recorder {
    /// The row of a kernel; a new one if there is none.
    pub(super) fn row(&mut self, name: &str, shape: &str, what: &str) -> usize {
        let is_same = |row: &KernelTime| row.name == name && row.shape == shape && row.what == what;
        if let Some(at) = self.kernels.iter().position(is_same) {
            return at;
        }
        self.kernels.push(KernelTime {
            name: name.to_owned(),
            shape: shape.to_owned(),
            what: what.to_owned(),
            calls: 0,
            time: Duration::ZERO,
            flops: 0,
            bytes: 0,
        });
        self.kernels.len() - 1
    }

    /// Adds to a row.
    pub(super) fn add(&mut self, row: usize, done: Done) {
        if let Some(row) = self.kernels.get_mut(row) {
            row.calls += done.calls;
            row.time += done.time;
            row.flops += done.flops;
            row.bytes += done.bytes;
        }
    }

    /// Notes that something is handed over.
    pub(super) fn begin(&mut self) {
        self.begun.get_or_insert_with(Instant::now);
    }

    /// Notes that a result is there.
    pub(super) fn end(&mut self) {
        self.ended = Some(Instant::now());
    }

    /// What there is so far; kernels that did not run are left out.
    pub(super) fn profile(&self) -> Profile {
        let ran = self.kernels.iter().filter(|row| row.calls > 0);
        let wall = self.begun.zip(self.ended);
        Profile {
            kernels: ran.cloned().collect(),
            wall: wall.map_or(Duration::ZERO, |(begun, ended)| ended - begun),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_same_has_one_row() {
        let mut recorder = Recorder::default();
        let first = recorder.row("conv", "1->2 8x8", "convolution");
        let other = recorder.row("conv", "2->2 8x8", "convolution");
        recorder.row("merge", "2->4 1x1", "moments");
        let again = recorder.row("conv", "1->2 8x8", "convolution");
        assert_eq!((first, again), (0, 0));
        let done = Done {
            calls: 1,
            time: Duration::from_millis(3),
            flops: 5,
            bytes: 7,
        };
        recorder.begin();
        recorder.add(first, done);
        recorder.add(other, done);
        recorder.add(again, done);
        recorder.end();
        let profile = recorder.profile();
        // What never ran is not there.
        let calls: Vec<u64> = profile.kernels.iter().map(|row| row.calls).collect();
        assert_eq!(calls, [2, 1]);
        assert_eq!(
            (profile.kernels[0].flops, profile.kernels[0].bytes),
            (10, 14)
        );
        assert_eq!(profile.busy(), Duration::from_millis(9));
    }

    #[test]
    fn shapes_are_a_word() {
        let word = shapes(Shape::new(32, 9, 9), Shape::new(64, 128, 64));
        assert_eq!(word, "32->64 128x64");
    }
}
