//! The CPU executor: chains of ops run row by row, so that what is between them stays in the cache.
//!
//! Inside, images are `[row][column][channel]` in float32. Every number is one chain of operations in a fixed order, so
//! that its bits depend neither on threads, nor on how images are shared out, nor on the instructions.

mod aligned;
mod chain;
mod conv;
mod convolution;
mod depthwise;
mod dot;
mod frame;
mod function;
mod instructions;
mod norm;
mod pointwise;
mod prepare;
mod profile;
mod reach;
mod reduce;
mod session;
mod sums;
mod together;

use std::num::NonZeroUsize;
use std::sync::Arc;

use rayon::{ThreadPool, ThreadPoolBuilder};

pub use instructions::Instructions;

use super::{ExecError, Executor, Session};
use crate::nn::Program;

/// The most memory that values of windows run together take, in bytes, unless one takes more.
const MOST_BYTES: usize = 256 << 20;

/// The fewest windows that may be run together, however few threads there are.
const FEWEST_WINDOWS: usize = 4;

/// The CPU, with threads of its own.
pub struct Cpu {
    pool: Arc<ThreadPool>,
    instructions: Instructions,
    windows: Option<NonZeroUsize>,
    profile: bool,
}

impl Cpu {
    /// The CPU with so many threads, at least one, and the best instructions that it has.
    ///
    /// # Errors
    /// Fails if the threads cannot be had.
    pub fn new(threads: usize) -> Result<Self, ExecError> {
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads.max(1))
            .thread_name(|index| format!("network {index}"))
            .build()
            .map_err(|error| failure(format!("{threads} threads: {error}")))?;
        Ok(Self {
            pool: Arc::new(pool),
            instructions: Instructions::best(),
            windows: None,
            profile: false,
        })
    }

    /// The same with other instructions.
    #[must_use]
    pub fn with_instructions(mut self, instructions: Instructions) -> Self {
        self.instructions = instructions;
        self
    }

    /// The same with so many windows run together, in place of as many as threads and memory suggest.
    #[must_use]
    pub fn with_windows(mut self, windows: NonZeroUsize) -> Self {
        self.windows = Some(windows);
        self
    }

    /// The same with a profile of each network ([`Session::profile`]), or without one.
    #[must_use]
    pub fn with_profile(mut self, profile: bool) -> Self {
        self.profile = profile;
        self
    }

    /// How many threads this process may use: the CPUs that the system gives it (affinity and cgroups), and not more
    /// than Slurm gave its task.
    pub fn available() -> usize {
        let system = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let slurm = std::env::var("SLURM_CPUS_PER_TASK").ok();
        let slurm = slurm.and_then(|count| count.trim().parse().ok());
        slurm
            .filter(|count| *count > 0)
            .map_or(system, |count: usize| count.min(system))
    }

    /// How many images of a program are run together.
    fn at_once(&self, program: &Program) -> usize {
        let bytes = program.size.saturating_mul(size_of::<f32>()).max(1);
        let threads = self.pool.current_num_threads();
        let fitting = (MOST_BYTES / bytes).clamp(1, threads.max(FEWEST_WINDOWS));
        // As many for each thread, if there is one for each.
        let shared = match fitting >= threads {
            true => fitting / threads * threads,
            false => fitting,
        };
        self.windows.map_or(shared, NonZeroUsize::get)
    }
}

impl Executor for Cpu {
    fn name(&self) -> String {
        let threads = self.pool.current_num_threads();
        let plural = if threads == 1 { "" } else { "s" };
        format!("CPU, {threads} thread{plural}, {}", self.instructions)
    }

    fn arithmetic(&self) -> String {
        format!("CPU, {}", self.instructions)
    }

    fn load(&self, program: Arc<Program>) -> Result<Box<dyn Session>, ExecError> {
        let at_once = self.at_once(&program);
        let arch = self.instructions.arch();
        let session = session::CpuSession::new(self.pool.clone(), arch, program, at_once)?;
        Ok(match self.profile {
            true => Box::new(session.with_profile()),
            false => Box::new(session),
        })
    }
}

/// What the CPU could not do.
fn failure(message: String) -> ExecError {
    ExecError::Device {
        device: "CPU".to_owned(),
        message,
    }
}
