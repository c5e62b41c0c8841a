//! Executors: what runs a network's [`Program`], and the one interface that tasks know.
//!
//! Images go in and come out planar, `[images, channels, height, width]` in row-major order, as files have them; how an
//! executor lays them out inside is its own business. The same executor gives the same bits for the same input, for any
//! number of threads and any number of windows at a time.

pub mod cases;
pub mod cpu;
mod device;
mod frame;
pub mod gpu;
mod profile;

use std::sync::Arc;

pub use device::{DeviceChoice, ignored_variables};
pub use profile::{KernelTime, Profile};

use crate::image::{Pixels, Scaling, Windows};
use crate::nn::Program;
use crate::progress::Progress;

/// A device that runs networks.
pub trait Executor: Send + Sync {
    /// What it is, for reports: `CPU, 8 threads, AVX-512`.
    fn name(&self) -> String;

    /// The same without what does not change the bits of a result: `CPU, AVX-512`.
    fn arithmetic(&self) -> String {
        self.name()
    }

    /// Whether it is a GPU, or a program that computes as one.
    fn is_gpu(&self) -> bool {
        false
    }

    /// Whether numbers between ops are kept in float16.
    fn is_half(&self) -> bool {
        false
    }

    /// Makes a program ready: its weights are packed, or uploaded, once.
    ///
    /// # Errors
    /// Fails if the device cannot run it.
    fn load(&self, program: Arc<Program>) -> Result<Box<dyn Session>, ExecError>;
}

/// A network that is ready to run.
pub trait Session: Send {
    /// The network.
    fn program(&self) -> &Program;

    /// Runs the network on `count` images, `[count, C, H, W]`; the results are `[count, C', H', W']`.
    ///
    /// # Errors
    /// Fails if the device does.
    fn run(&mut self, images: &[f32], count: usize) -> Result<Vec<f32>, ExecError>;

    /// Takes a frame to be cut into windows, run, and blended. How many frames may be under way is [`Session::depth`].
    /// Each finished window is a step of `progress`.
    ///
    /// # Errors
    /// Fails if the device does, or the user asked to stop.
    fn submit(&mut self, frame: Frame<'_>, progress: &dyn Progress) -> Result<(), ExecError>;

    /// The result of the earliest frame under way, `[C', height, width]`; `None` if there is none.
    ///
    /// # Errors
    /// Fails if the device does, or the user asked to stop.
    fn collect(&mut self, progress: &dyn Progress) -> Result<Option<Vec<f32>>, ExecError>;

    /// What the device did so far, if the executor was asked to note that.
    ///
    /// # Errors
    /// Fails if the device does.
    fn profile(&mut self) -> Result<Option<Profile>, ExecError> {
        Ok(None)
    }

    /// Whether the device can hold a frame that is cut so, of channels whose numbers have so many bytes: to be asked before
    /// anything is run or written.
    ///
    /// # Errors
    /// Fails if it cannot.
    fn fits(&self, _windows: &Windows, _bytes: usize) -> Result<(), ExecError> {
        Ok(())
    }

    /// Whether numbers between ops are kept in float16.
    fn is_half(&self) -> bool {
        false
    }

    /// How many frames should be under way, so that the device never waits.
    fn depth(&self) -> usize {
        1
    }
}

/// A frame, and what is to be done with it.
#[derive(Clone, Debug)]
pub struct Frame<'a> {
    /// `[C, height, width]`, with the channels that the network takes, and the frame's size.
    pub pixels: Pixels<'a>,
    /// What is done to each channel's numbers before they are cut into windows; one for each channel.
    pub scaling: Vec<Scaling>,
    /// How the frame is cut, and put together again; the side is that of the network's input.
    pub windows: Arc<Windows>,
    pub finish: Finish,
}

impl Frame<'_> {
    /// The same with pixels of its own: lent ones are copied.
    pub fn into_owned(self) -> Frame<'static> {
        Frame {
            pixels: self.pixels.into_owned(),
            scaling: self.scaling,
            windows: self.windows,
            finish: self.finish,
        }
    }
}

/// What is done to the blended result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// Nothing.
    Keep,
    /// Scaled back to the numbers of the frame's channel ([`Scaling::back`]); the network has as many outputs as inputs.
    ScaleBack,
    /// `1 / (1 + exp(-v))`
    Sigmoid,
}

/// Why a network was not run.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// The network does not fit the device, or the input does not fit the network.
    #[error("{what}: expected {expected}, found {found}")]
    Unfit {
        what: String,
        expected: String,
        found: String,
    },
    /// No such device is here.
    #[error("there is no {asked}: found {found}")]
    NoDevice { asked: String, found: String },
    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted,
    /// The device failed.
    #[error("{device}: {message}")]
    Device { device: String, message: String },
    /// The device does not compute with float16.
    #[error(
        "{device} does not compute with float16: leave `--precision f16` out, or choose another device with `--device`"
    )]
    NoHalf { device: String },
    /// What is to be run is larger than the device can hold, whatever else it holds.
    #[error(
        "{what} is too large for {device}: expected at most {most} bytes, found {bytes}; {advice}"
    )]
    TooLarge {
        what: &'static str,
        device: String,
        most: u64,
        bytes: u64,
        /// What to do.
        advice: &'static str,
    },
    /// The device has no memory left, even for one window at a time.
    #[error(
        "{device}: out of memory: {message}; close other programs that use it, or run on `--device cpu`"
    )]
    OutOfMemory { device: String, message: String },
    /// The device was lost, and could not be made use of again.
    #[error("{device}: the device was lost: {message}; `--device cpu` does without it")]
    Lost { device: String, message: String },
}
