//! Which device runs networks: asked for by name, found and opened.

use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::str::FromStr;

use super::cpu::Cpu;
use super::gpu::{Adapter, AdapterKind, Facts, Gpu, MEMORY, Precision, adapters};
use super::{ExecError, Executor};

/// The device that is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// A graphics card, else a GPU that is part of a processor, else the CPU.
    #[default]
    Auto,
    Cpu,
    /// The GPU of that number, from 0, the preferred first; programs on the CPU do not count.
    Gpu(usize),
    /// An adapter's PCI id, or part of its name.
    Named(String),
}

impl FromStr for DeviceChoice {
    type Err = Infallible;

    /// `auto`, `cpu`, `gpu`, `gpu:1`, or a name, in any case.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        let lower = text.to_lowercase();
        let number = || lower.strip_prefix("gpu:")?.parse().ok();
        Ok(match lower.as_str() {
            "auto" => Self::Auto,
            "cpu" => Self::Cpu,
            "gpu" => Self::Gpu(0),
            _ => number().map_or_else(|| Self::Named(text.to_owned()), Self::Gpu),
        })
    }
}

/// Variables by which other programs' GPUs are chosen; they say nothing of Vulkan, Metal and DirectX.
const FOREIGN: [&str; 4] = [
    "CUDA_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
    "ZE_AFFINITY_MASK",
];

/// The variables that choose GPUs for other programs, are set, and are ignored here.
pub fn ignored_variables() -> Vec<&'static str> {
    let is_set = |name: &&str| std::env::var_os(name).is_some();
    FOREIGN.into_iter().filter(is_set).collect()
}

/// How many bytes of a GPU's memory may be taken, where the variable [`MEMORY`] says so; empty, it says nothing.
///
/// # Errors
/// Fails if it holds something else than a number of MiB.
pub fn memory_limit() -> Result<Option<u64>, ExecError> {
    let text = std::env::var_os(MEMORY).filter(|text| !text.is_empty());
    text.map(|text| mebibytes(&text.to_string_lossy()))
        .transpose()
}

/// So many MiB, in bytes.
fn mebibytes(text: &str) -> Result<u64, ExecError> {
    let number = text.trim().parse::<u64>().ok().filter(|number| *number > 0);
    let bytes = number.and_then(|number| number.checked_mul(1 << 20));
    bytes.ok_or_else(|| ExecError::Unfit {
        what: format!("the variable {MEMORY}"),
        expected: "a number of MiB, such as 2048".to_owned(),
        found: format!("`{text}`"),
    })
}

impl DeviceChoice {
    /// The adapter that is meant, by its position in `all`, the preferred first; `None` for the CPU.
    ///
    /// # Errors
    /// Fails if there is none, or a name means several.
    pub fn pick(&self, all: &[&Facts]) -> Result<Option<usize>, ExecError> {
        let is = |kind: AdapterKind| all.iter().position(|facts| facts.kind == kind);
        match self {
            Self::Cpu => Ok(None),
            Self::Auto => Ok(is(AdapterKind::Discrete).or(is(AdapterKind::Integrated))),
            Self::Gpu(number) => {
                let gpus = all.iter().enumerate();
                let mut gpus = gpus.filter(|(_, facts)| facts.kind != AdapterKind::Software);
                let found = gpus.nth(*number).map(|(at, _)| at);
                found.map(Some).ok_or_else(|| {
                    let asked = match number {
                        0 => "GPU".to_owned(),
                        number => format!("GPU {number}, counted from 0"),
                    };
                    none(asked, all)
                })
            }
            Self::Named(name) => named(name, all).map(Some),
        }
    }

    /// Opens the device that is meant. `threads` are the CPU's, by default as many as this process may use; with
    /// `profile`, its sessions have a profile ([`super::Session::profile`]).
    ///
    /// # Errors
    /// Fails if there is no such device, it does not compute in that precision, it has no timestamps and a profile is
    /// wanted, or its driver fails. The CPU is never
    /// taken where a GPU was asked for.
    pub fn open(
        &self,
        precision: Precision,
        threads: Option<NonZeroUsize>,
        profile: bool,
    ) -> Result<Box<dyn Executor>, ExecError> {
        let looked_for = match self {
            Self::Cpu => false,
            Self::Auto => may_have_gpu(),
            _ => true,
        };
        let adapters = if looked_for { adapters() } else { Vec::new() };
        let facts: Vec<&Facts> = adapters.iter().map(|adapter| &adapter.facts).collect();
        let adapter: Option<&Adapter> = self.pick(&facts)?.and_then(|at| adapters.get(at));
        match (adapter, precision) {
            (Some(adapter), _) => {
                let gpu = Gpu::new(adapter, precision)?.with_profile(profile)?;
                Ok(Box::new(match memory_limit()? {
                    Some(bytes) => gpu.with_memory(bytes),
                    None => gpu,
                }))
            }
            (None, Precision::Single) => {
                let threads = threads.map_or_else(Cpu::available, NonZeroUsize::get);
                Ok(Box::new(Cpu::new(threads)?.with_profile(profile)))
            }
            (None, Precision::Half) => Err(ExecError::NoHalf {
                device: "the CPU".to_owned(),
            }),
        }
    }
}

/// The adapter of that PCI id, or the one with that in its name.
fn named(name: &str, all: &[&Facts]) -> Result<usize, ExecError> {
    let by_id = |facts: &&Facts| facts.pci.as_deref().is_some_and(|id| id == name);
    if let Some(at) = all.iter().position(by_id) {
        return Ok(at);
    }
    let wanted = name.to_lowercase();
    let fits = |facts: &Facts| !wanted.is_empty() && facts.name.to_lowercase().contains(&wanted);
    let fitting: Vec<usize> = (0..all.len()).filter(|at| fits(all[*at])).collect();
    let Some(first) = fitting.first().copied() else {
        return Err(none(format!("device named `{name}`"), all));
    };
    // The same GPU may be there once for each backend.
    let is_first = |at: &usize| {
        let same = all[*at].name == all[first].name && all[*at].pci == all[first].pci;
        *at == first || (same && all[*at].backend != all[first].backend)
    };
    match fitting.iter().all(is_first) {
        true => Ok(first),
        false => Err(ExecError::Unfit {
            what: format!("the device `{name}`"),
            expected: "a name or a PCI id that means one device".to_owned(),
            found: listed(&fitting.iter().map(|at| all[*at]).collect::<Vec<_>>()),
        }),
    }
}

fn none(asked: String, all: &[&Facts]) -> ExecError {
    ExecError::NoDevice {
        asked,
        found: match all.is_empty() {
            true => "no driver of a GPU (Vulkan, Metal or DirectX 12)".to_owned(),
            false => listed(all),
        },
    }
}

fn listed(all: &[&Facts]) -> String {
    let each = all.iter().map(|facts| match (&facts.pci, facts.kind) {
        (Some(id), _) => format!("{} ({id})", facts.name),
        (None, AdapterKind::Software) => {
            format!(
                "{}, a program on the CPU that is taken by name alone",
                facts.name
            )
        }
        (None, _) => facts.name.clone(),
    });
    each.collect::<Vec<String>>().join(", ")
}

/// Whether it is worth asking drivers for GPUs: on Linux, these have files in `/dev`. Drivers take time to load, and some
/// print.
fn may_have_gpu() -> bool {
    const FILES: [&str; 6] = ["dri", "nvidiactl", "dxg", "kgsl-3d0", "mali0", "nvhost-gpu"];
    let dev = std::path::Path::new("/dev");
    !cfg!(target_os = "linux") || FILES.iter().any(|name| dev.join(name).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(name: &str, kind: AdapterKind, pci: Option<&str>) -> Facts {
        Facts {
            name: name.to_owned(),
            kind,
            backend: "Vulkan",
            driver: String::new(),
            pci: pci.map(str::to_owned),
            binding: 1 << 27,
            workgroup: 1 << 14,
            half: true,
            subgroups: None,
        }
    }

    fn pick(text: &str, all: &[Facts]) -> Result<Option<usize>, String> {
        let all: Vec<&Facts> = all.iter().collect();
        let choice: DeviceChoice = text.parse().unwrap_or_default();
        choice.pick(&all).map_err(|error| error.to_string())
    }

    #[test]
    fn auto_never_takes_a_program() {
        let card = facts("Radeon", AdapterKind::Discrete, None);
        let part = facts("Iris", AdapterKind::Integrated, None);
        let program = facts("llvmpipe", AdapterKind::Software, None);
        let all = [card, part.clone(), program.clone()];
        assert_eq!(pick("auto", &all), Ok(Some(0)));
        assert_eq!(pick("auto", &[part, program.clone()]), Ok(Some(0)));
        assert_eq!(pick("auto", &[program]), Ok(None));
        assert_eq!(pick("auto", &[]), Ok(None));
        assert_eq!(pick("cpu", &all), Ok(None));
        assert_eq!(pick("CPU", &all), Ok(None));
    }

    #[test]
    fn gpus_are_counted_and_never_replaced() {
        let card = facts("Radeon", AdapterKind::Discrete, None);
        let part = facts("Iris", AdapterKind::Integrated, None);
        let program = facts("llvmpipe", AdapterKind::Software, None);
        let all = [card, part, program.clone()];
        assert_eq!(pick("gpu", &all), Ok(Some(0)));
        assert_eq!(pick("gpu:1", &all), Ok(Some(1)));
        assert_eq!(
            pick("gpu:2", &all).unwrap_err(),
            "there is no GPU 2, counted from 0: found Radeon, Iris, llvmpipe, a program on the CPU that is taken by \
             name alone"
        );
        assert_eq!(
            pick("gpu", &[program]).unwrap_err(),
            "there is no GPU: found llvmpipe, a program on the CPU that is taken by name alone"
        );
        assert_eq!(
            pick("gpu", &[]).unwrap_err(),
            "there is no GPU: found no driver of a GPU (Vulkan, Metal or DirectX 12)"
        );
    }

    #[test]
    fn memory_is_a_number_of_mebibytes() {
        assert_eq!(mebibytes(" 2048 ").ok(), Some(2 << 30));
        for text in ["", "0", "-1", "1.5", "2 GiB", "99999999999999999"] {
            assert!(mebibytes(text).is_err(), "{text}");
        }
        assert_eq!(
            mebibytes("2G").unwrap_err().to_string(),
            "the variable BUNDLE_GPU_MEMORY: expected a number of MiB, such as 2048, found `2G`"
        );
    }

    #[test]
    fn names_mean_one_device() {
        let kind = AdapterKind::Discrete;
        let first = facts("NVIDIA RTX 3060", kind, Some("0000:01:00.0"));
        let second = facts("NVIDIA RTX 3060", kind, Some("0000:02:00.0"));
        let program = facts("llvmpipe (LLVM 15)", AdapterKind::Software, None);
        let mut other_backend = first.clone();
        other_backend.backend = "DirectX 12";
        let all = [first.clone(), second, program];
        assert_eq!(pick("llvmpipe", &all), Ok(Some(2)));
        assert_eq!(pick("0000:02:00.0", &all), Ok(Some(1)));
        assert_eq!(pick("rtx", &[first, other_backend]), Ok(Some(0)));
        assert_eq!(
            pick("rtx", &all).unwrap_err(),
            "the device `rtx`: expected a name or a PCI id that means one device, found NVIDIA RTX 3060 \
             (0000:01:00.0), NVIDIA RTX 3060 (0000:02:00.0)"
        );
        assert!(pick("radeon", &all).is_err());
        assert!(pick("", &all).is_err());
    }
}
