//! `bundle devices`: what can run networks here, tried out.

mod check;
mod missing;

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

pub use check::{Checked, Failure, FamilyReport, Options, Problem, check};
pub use check::{Error as CheckError, Report as CheckReport};

use crate::exec::cases::apart;
use crate::exec::cpu::Cpu;
use crate::exec::gpu::{Adapter, AdapterKind, Facts, Gpu, Precision, adapters};
use crate::exec::{DeviceChoice, ExecError, Executor, ignored_variables, memory_limit};
use crate::nn::{Conv, Function, GraphBuilder, GraphError, Op, Program, Shape, fuse};
use crate::progress::Progress;

/// How far a device's numbers may be from the CPU's, in parts of the largest.
const TOLERANCE: f64 = 2e-5;

/// The network that devices are tried with: so many channels, a side of so many pixels, so many convolutions.
const CHANNELS: usize = 32;
const SIDE: usize = 128;
const CONVOLUTIONS: usize = 4;

/// A device is timed so often, after a first time that makes it ready; the shortest counts.
const REPEATS: usize = 3;

/// What there is, and which is taken.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The CPU first, then the adapters, the preferred first.
    pub devices: Vec<Device>,
    /// Why `--device auto` takes the one that it does.
    pub reason: String,
    /// Variables that choose GPUs for other programs, are set, and are ignored here.
    pub ignored: Vec<&'static str>,
    /// How many bytes of a GPU's memory are taken at most, if the environment says so, or what is wrong with its word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Limit>,
    /// What seems to be missing, if a GPU is there that no driver has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
}

/// What `BUNDLE_GPU_MEMORY` says.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Limit {
    Bytes(u64),
    Wrong(String),
}

/// One device.
#[derive(Debug, Serialize)]
pub struct Device {
    pub name: String,
    pub kind: &'static str,
    /// Whether `--device auto` takes it.
    pub auto: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adapter: Option<Details>,
    #[serde(flatten)]
    pub trial: Trial,
}

/// What an adapter's driver says of it.
#[derive(Debug, Serialize)]
pub struct Details {
    pub backend: &'static str,
    pub driver: String,
    pub pci: Option<String>,
    /// The most memory that a kernel can see at once, in bytes.
    pub binding: u64,
    /// The memory of a workgroup, in bytes.
    pub workgroup: u64,
    pub float16: bool,
    pub subgroups: Option<[u32; 2]>,
}

/// How a device did.
#[derive(Debug, Serialize)]
#[serde(tag = "trial", rename_all = "snake_case")]
pub enum Trial {
    /// Its numbers are the CPU's, to this part of the largest; it does so many billion multiplications and additions a
    /// second.
    Good { apart: f64, gflops: f64 },
    /// Its numbers are too far from the CPU's.
    Wrong { apart: f64 },
    /// It cannot be used.
    Failed { message: String },
}

impl Report {
    /// Whether every device computes what the CPU does.
    pub fn is_good(&self) -> bool {
        let good = |device: &Device| matches!(device.trial, Trial::Good { .. });
        self.devices.iter().all(good)
    }
}

/// Why nothing was tried.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    #[error("the CPU cannot be used: {0}")]
    Cpu(#[from] ExecError),
    #[error(transparent)]
    Network(#[from] GraphError),
    #[error("interrupted")]
    Interrupted,
}

/// Tries every device.
///
/// # Errors
/// Fails if the CPU, with which all are compared, cannot be used, or the user asked to stop.
pub fn devices(progress: &dyn Progress) -> Result<Report, Error> {
    let program = Arc::new(program()?);
    let input = program.input().elements();
    let image: Vec<f32> = (0..input).map(|index| scattered(index) - 0.5).collect();
    let cpu = Cpu::new(Cpu::available())?;
    let (wanted, gflops) = timed(&cpu, &program, &image)?;
    let adapters = adapters();
    let facts: Vec<&Facts> = adapters.iter().map(|adapter| &adapter.facts).collect();
    let auto = DeviceChoice::Auto.pick(&facts)?;
    let mut devices = vec![Device {
        name: cpu.name(),
        kind: "CPU",
        auto: auto.is_none(),
        adapter: None,
        trial: Trial::Good { apart: 0.0, gflops },
    }];
    for (index, adapter) in adapters.iter().enumerate() {
        if progress.interrupted() {
            return Err(Error::Interrupted);
        }
        devices.push(Device {
            name: adapter.facts.name.clone(),
            kind: adapter.facts.kind.name(),
            auto: auto == Some(index),
            adapter: Some(details(&adapter.facts)),
            trial: trial(adapter, &program, &image, &wanted),
        });
    }
    if progress.interrupted() {
        return Err(Error::Interrupted);
    }
    Ok(Report {
        devices,
        reason: reason(auto, &facts),
        ignored: ignored_variables(),
        memory: match memory_limit() {
            Ok(limit) => limit.map(Limit::Bytes),
            Err(error) => Some(Limit::Wrong(error.to_string())),
        },
        missing: missing::here(&facts),
    })
}

/// Why `auto` takes the adapter at that position, or the CPU.
fn reason(auto: Option<usize>, all: &[&Facts]) -> String {
    let others = |kind: AdapterKind| all.iter().filter(|facts| facts.kind == kind).count();
    let taken = auto.and_then(|at| all.get(at));
    match taken.map(|facts| facts.kind) {
        Some(AdapterKind::Discrete) => match others(AdapterKind::Discrete) {
            1 => "it is the graphics card".to_owned(),
            count => format!("it is the first of {count} graphics cards"),
        },
        Some(_) => "there is no graphics card, and it is the GPU of the processor".to_owned(),
        None if all.is_empty() => "no driver of a GPU was found".to_owned(),
        None if others(AdapterKind::Software) == all.len() => {
            "no GPU was found; programs on the CPU are taken only by name".to_owned()
        }
        None => {
            "no card and no GPU of a processor was found; others are taken only by name".to_owned()
        }
    }
}

fn doubles(numbers: &[f32]) -> Vec<f64> {
    numbers.iter().map(|v| f64::from(*v)).collect()
}

fn details(facts: &Facts) -> Details {
    Details {
        backend: facts.backend,
        driver: facts.driver.clone(),
        pci: facts.pci.clone(),
        binding: facts.binding,
        workgroup: facts.workgroup,
        float16: facts.half,
        subgroups: facts.subgroups,
    }
}

fn trial(adapter: &Adapter, program: &Arc<Program>, image: &[f32], wanted: &[f32]) -> Trial {
    let opened = Gpu::new(adapter, Precision::Single);
    match opened.and_then(|gpu| timed(&gpu, program, image)) {
        Ok((found, gflops)) => match apart(&found, &doubles(wanted), f64::MIN_POSITIVE) {
            apart if apart <= TOLERANCE => Trial::Good { apart, gflops },
            apart => Trial::Wrong { apart },
        },
        Err(error) => Trial::Failed {
            message: error.to_string(),
        },
    }
}

/// Convolutions of 3x3 with their bias and SiLU, after each other, with weights that are the same everywhere.
fn program() -> Result<Program, GraphError> {
    let (mut builder, mut value) = GraphBuilder::new(Shape::new(CHANNELS, SIDE, SIDE))?;
    let count = 9 * CHANNELS * CHANNELS;
    // Results are about as large as what they are made of.
    let size = (6.0 / (9 * CHANNELS) as f32).sqrt();
    for layer in 0..CONVOLUTIONS {
        let numbers = (0..count).map(|index| (scattered(layer * count + index) - 0.5) * 2.0 * size);
        let conv = Conv {
            outputs: CHANNELS,
            kernel: [3, 3],
            stride: [1, 1],
            padding: [[1, 1], [1, 1]],
            groups: 1,
            transposed: false,
            weight: numbers.collect(),
            bias: None,
        };
        value = builder.push(Op::Conv(conv), &[value])?;
        let silu = Function::Swish { alpha: 1.0 };
        value = builder.push(Op::Apply(silu), &[value])?;
    }
    Ok(fuse(builder.finish(value)))
}

/// A number from 0 to 1 for each index, without a pattern.
fn scattered(index: usize) -> f32 {
    let mixed = (index as u32).wrapping_mul(0x9e37_79b9).rotate_left(15);
    (mixed.wrapping_mul(0x85eb_ca6b) >> 8) as f32 / (1 << 24) as f32
}

/// The network's result, and how many billion multiplications and additions a second went into it.
fn timed(
    executor: &dyn Executor,
    program: &Arc<Program>,
    image: &[f32],
) -> Result<(Vec<f32>, f64), ExecError> {
    let mut session = executor.load(program.clone())?;
    let result = session.run(image, 1)?;
    let mut shortest = f64::INFINITY;
    for _ in 0..REPEATS {
        let begun = Instant::now();
        session.run(image, 1)?;
        shortest = shortest.min(begun.elapsed().as_secs_f64());
    }
    let flops = 2 * CONVOLUTIONS * SIDE * SIDE * 9 * CHANNELS * CHANNELS;
    Ok((result, flops as f64 / shortest / 1e9))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(kind: AdapterKind) -> Facts {
        Facts {
            name: "Radeon".to_owned(),
            kind,
            backend: "Vulkan",
            driver: String::new(),
            pci: None,
            binding: 1 << 27,
            workgroup: 1 << 14,
            half: true,
            subgroups: None,
        }
    }

    #[test]
    fn what_auto_takes_is_explained() {
        use AdapterKind::{Discrete, Integrated, Software, Virtual};
        let explained = |kinds: &[AdapterKind]| {
            let all: Vec<Facts> = kinds.iter().map(|kind| facts(*kind)).collect();
            let all: Vec<&Facts> = all.iter().collect();
            reason(DeviceChoice::Auto.pick(&all).unwrap(), &all)
        };
        let cases: [(&[AdapterKind], &str); 6] = [
            (&[Discrete, Integrated], "it is the graphics card"),
            (&[Discrete, Discrete], "it is the first of 2 graphics cards"),
            (
                &[Integrated, Software],
                "there is no graphics card, and it is the GPU of the processor",
            ),
            (
                &[Software],
                "no GPU was found; programs on the CPU are taken only by name",
            ),
            (&[], "no driver of a GPU was found"),
            (
                &[Virtual, Software],
                "no card and no GPU of a processor was found; others are taken only by name",
            ),
        ];
        for (kinds, text) in cases {
            assert_eq!(explained(kinds), text);
        }
    }

    #[test]
    fn whoever_asks_to_stop_is_heard() {
        struct Stop;
        impl Progress for Stop {
            fn interrupted(&self) -> bool {
                true
            }
        }
        assert!(matches!(devices(&Stop), Err(Error::Interrupted)));
    }

    #[test]
    fn numbers_are_scattered_evenly() {
        let numbers: Vec<f32> = (0..1000).map(scattered).collect();
        assert!(numbers.iter().all(|v| (0.0..1.0).contains(v)));
        let mean = numbers.iter().sum::<f32>() / 1000.0;
        assert!((mean - 0.5).abs() < 0.05, "{mean}");
    }
}
