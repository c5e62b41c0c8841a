//! `bundle devices --check`: every kernel on random cases, against the CPU executor.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use serde::Serialize;

use super::{Details, details, doubles, missing};
use crate::exec::cases::{Case, CaseError, Choice, Family, Input};
use crate::exec::cpu::Cpu;
use crate::exec::gpu::{Adapter, Facts, Gpu, Precision, adapters};
use crate::exec::{DeviceChoice, ExecError, Executor};
use crate::progress::{Phase, Progress};

/// What to check.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The device; all adapters if none is named.
    pub device: Option<DeviceChoice>,
    /// The cases; all if it is empty.
    pub only: Vec<Choice>,
}

/// What was found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// One for each device and precision.
    pub checks: Vec<Checked>,
}

/// A device in one precision.
#[derive(Debug, Serialize)]
pub struct Checked {
    pub name: String,
    pub kind: &'static str,
    pub adapter: Details,
    /// `f32` or `f16`.
    pub precision: &'static str,
    /// How far results may be from the CPU's, in parts of the largest.
    pub tolerance: f64,
    pub families: Vec<FamilyReport>,
    /// Why the device cannot be used, or can no longer be used.
    pub failed: Option<String>,
}

/// The cases of a family.
#[derive(Debug, Serialize)]
pub struct FamilyReport {
    pub family: &'static str,
    /// How many were run.
    pub cases: u64,
    /// The kernels that they ran.
    pub kernels: BTreeSet<&'static str>,
    /// The largest difference from the CPU's numbers, in parts of the largest; none where one is no number.
    pub apart: Option<f64>,
    pub failures: Vec<Failure>,
}

/// A case that went wrong.
#[derive(Debug, Serialize)]
pub struct Failure {
    /// How it is asked for again: `transposed:7`.
    pub case: String,
    /// Its op, shapes and number of images.
    pub what: String,
    pub kernels: BTreeSet<&'static str>,
    #[serde(flatten)]
    pub problem: Problem,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "problem", rename_all = "snake_case")]
pub enum Problem {
    /// Numbers are too far from the CPU's; none where one is no number.
    Far { apart: Option<f64> },
    /// The same work gave other bits.
    NotRepeated,
    /// An image gave other bits when it was run alone.
    NotIndependent,
    /// The device failed.
    Failed { message: String },
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_good(&self) -> bool {
        self.checks.iter().all(Checked::is_good)
    }
}

impl Checked {
    /// Whether nothing is wrong with it.
    pub fn is_good(&self) -> bool {
        self.failed.is_none() && self.failures().next().is_none()
    }

    /// All cases that went wrong.
    pub fn failures(&self) -> impl Iterator<Item = &Failure> {
        self.families.iter().flat_map(|family| &family.failures)
    }

    /// How many cases were run.
    pub fn cases(&self) -> u64 {
        self.families.iter().map(|family| family.cases).sum()
    }
}

/// Why nothing was checked.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    #[error("no device can be checked: {0}")]
    Device(ExecError),
    #[error("no device can be checked: no driver of a GPU was found (Vulkan, Metal or DirectX 12)")]
    NoAdapter {
        #[help]
        missing: Option<String>,
    },
    #[error("the CPU is not checked: it is what devices are compared with")]
    #[diagnostic(help("name a GPU, or leave `--device` out to check all of them"))]
    Reference,
    #[error("the CPU, with which devices are compared, cannot be used: {0}")]
    Cpu(#[from] ExecError),
    #[error(transparent)]
    Case(#[from] CaseError),
    #[error("interrupted")]
    Interrupted,
}

/// A case, and what the CPU makes of it.
struct Solved {
    case: Case,
    wanted: Vec<f64>,
}

/// Runs the cases on the devices. What goes wrong is in the report, and the rest is run.
///
/// # Errors
/// Fails if there is no such device, the CPU cannot be used, or the user asked to stop.
pub fn check(options: &Options, progress: &dyn Progress) -> Result<Report, Error> {
    let adapters = chosen(options.device.as_ref())?;
    let solved = solved(&options.only)?;
    let mut runs: Vec<(&Adapter, Precision)> = Vec::new();
    for adapter in &adapters {
        runs.push((adapter, Precision::Single));
        if adapter.facts.half {
            runs.push((adapter, Precision::Half));
        }
    }
    let fit = |precision: Precision| solved.iter().filter(move |x| is_fit(&x.case, precision));
    let steps = runs.iter().map(|(_, precision)| fit(*precision).count());
    let _phase = Phase::of_steps(progress, "Checking", steps.sum::<usize>() as u64, "cases");
    let mut checks = Vec::new();
    for (adapter, precision) in runs {
        let cases: Vec<&Solved> = fit(precision).collect();
        checks.push(check_device(adapter, precision, &cases, progress)?);
    }
    Ok(Report { checks })
}

/// The adapters that are meant.
fn chosen(device: Option<&DeviceChoice>) -> Result<Vec<Adapter>, Error> {
    let mut all = adapters();
    let facts: Vec<&Facts> = all.iter().map(|adapter| &adapter.facts).collect();
    match device {
        None if all.is_empty() => Err(Error::NoAdapter {
            missing: missing::here(&facts),
        }),
        None => Ok(all),
        Some(device) => match device.pick(&facts).map_err(Error::Device)? {
            None => Err(Error::Reference),
            Some(at) => Ok(vec![all.swap_remove(at)]),
        },
    }
}

/// The cases that are meant, in the order of families, and what the CPU makes of them.
fn solved(only: &[Choice]) -> Result<Vec<Solved>, Error> {
    let cpu = Cpu::new(Cpu::available())?;
    let mut solved = Vec::new();
    for family in Family::ALL {
        let of_family = only.iter().filter(|choice| choice.family == family);
        let mut seeds: BTreeSet<u64> = BTreeSet::new();
        match only.is_empty() {
            true => seeds.extend(0..family.seeds()),
            false => of_family.for_each(|choice| match choice.seed {
                Some(seed) => seeds.extend([seed]),
                None => seeds.extend(0..family.seeds()),
            }),
        }
        for seed in seeds {
            let case = family.case(seed)?;
            let mut session = cpu.load(case.program())?;
            let wanted = doubles(&case.run(&mut *session)?);
            solved.push(Solved { case, wanted });
        }
    }
    Ok(solved)
}

fn is_fit(case: &Case, precision: Precision) -> bool {
    precision == Precision::Single || case.family.is_fit_for_half()
}

/// The name of a precision and how far results may be from the CPU's in it.
fn terms(precision: Precision) -> (&'static str, f64) {
    match precision {
        Precision::Single => ("f32", 2e-5),
        Precision::Half => ("f16", 5e-3),
    }
}

fn check_device(
    adapter: &Adapter,
    precision: Precision,
    cases: &[&Solved],
    progress: &dyn Progress,
) -> Result<Checked, Error> {
    let (name, tolerance) = terms(precision);
    let mut checked = Checked {
        name: adapter.facts.name.clone(),
        kind: adapter.facts.kind.name(),
        adapter: details(&adapter.facts),
        precision: name,
        tolerance,
        families: Vec::new(),
        failed: None,
    };
    let mut gpu: Option<Gpu> = None;
    for solved in cases {
        if progress.interrupted() {
            return Err(Error::Interrupted);
        }
        // A device that has failed is opened anew for the next case.
        let opened = match gpu.take() {
            Some(gpu) => Ok(gpu),
            None => Gpu::new(adapter, precision),
        };
        let device = match opened {
            Ok(device) => device,
            Err(error) => {
                checked.failed = Some(error.to_string());
                break;
            }
        };
        let result = run(solved, &device);
        let kernels = kernels(&solved.case, &device);
        gpu = result.is_ok().then_some(device);
        checked.add(&solved.case, kernels, result);
        progress.step(1);
    }
    Ok(checked)
}

/// How far a device's numbers are from the CPU's, and whether they depend on nothing but their image.
fn run(solved: &Solved, gpu: &Gpu) -> Result<(f64, Option<Problem>), ExecError> {
    let alone = gpu.clone().with_windows(NonZeroUsize::MIN);
    let given = solved.case.given(gpu, &alone)?;
    let problem = match (given.is_repeated, given.is_independent) {
        (false, _) => Some(Problem::NotRepeated),
        (true, false) => Some(Problem::NotIndependent),
        (true, true) => None,
    };
    Ok((
        solved.case.distance(&given.numbers, &solved.wanted),
        problem,
    ))
}

fn kernels(case: &Case, gpu: &Gpu) -> BTreeSet<&'static str> {
    let is_frame = matches!(case.input, Input::Frame(_));
    // What cannot be lowered fails when it is loaded.
    let kernels = gpu.kernels(&case.program(), is_frame);
    kernels.unwrap_or_default().into_iter().collect()
}

impl Checked {
    /// Adds what became of a case.
    fn add(
        &mut self,
        case: &Case,
        kernels: BTreeSet<&'static str>,
        result: Result<(f64, Option<Problem>), ExecError>,
    ) {
        let name = case.family.name();
        if self.families.last().is_none_or(|last| last.family != name) {
            self.families.push(FamilyReport {
                family: name,
                cases: 0,
                kernels: BTreeSet::new(),
                apart: Some(0.0),
                failures: Vec::new(),
            });
        }
        let Some(family) = self.families.last_mut() else {
            return;
        };
        family.cases += 1;
        family.kernels.extend(&kernels);
        let problem = match result {
            Err(error) => Some(Problem::Failed {
                message: error.to_string(),
            }),
            Ok((apart, problem)) => {
                let finite = apart.is_finite().then_some(apart);
                let both = family.apart.zip(finite);
                family.apart = both.map(|(most, apart)| most.max(apart));
                match apart <= self.tolerance {
                    true => problem,
                    false => Some(Problem::Far { apart: finite }),
                }
            }
        };
        family.failures.extend(problem.map(|problem| Failure {
            case: format!("{}:{}", case.family, case.seed),
            what: case.described(),
            kernels,
            problem,
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::gpu::AdapterKind;

    fn checked(precision: Precision) -> Checked {
        let facts = Facts {
            name: "Radeon".to_owned(),
            kind: AdapterKind::Discrete,
            backend: "Vulkan",
            driver: String::new(),
            pci: None,
            binding: 1 << 27,
            workgroup: 1 << 14,
            half: true,
            subgroups: None,
        };
        let (name, tolerance) = terms(precision);
        Checked {
            name: facts.name.clone(),
            kind: facts.kind.name(),
            adapter: details(&facts),
            precision: name,
            tolerance,
            families: Vec::new(),
            failed: None,
        }
    }

    #[test]
    fn what_goes_wrong_is_kept_with_what_repeats_it() {
        let mut device = checked(Precision::Single);
        let case = |seed| Family::Linear.case(seed).unwrap();
        let kernels = || BTreeSet::from(["conv"]);
        device.add(&case(0), kernels(), Ok((1e-6, None)));
        assert!(device.is_good());
        device.add(&case(1), kernels(), Ok((1e-3, None)));
        device.add(&case(2), kernels(), Ok((1e-7, Some(Problem::NotRepeated))));
        device.add(&case(3), kernels(), Ok((f64::INFINITY, None)));
        let lost = ExecError::Device {
            device: "Radeon".to_owned(),
            message: "lost".to_owned(),
        };
        device.add(&case(4), kernels(), Err(lost));
        assert!(!device.is_good());
        let found: Vec<(&str, Problem)> = device
            .failures()
            .map(|failure| (failure.case.as_str(), failure.problem.clone()))
            .collect();
        let message = "Radeon: lost".to_owned();
        let expected = [
            ("linear:1", Problem::Far { apart: Some(1e-3) }),
            ("linear:2", Problem::NotRepeated),
            ("linear:3", Problem::Far { apart: None }),
            ("linear:4", Problem::Failed { message }),
        ];
        assert_eq!(found, expected);
        assert_eq!((device.cases(), device.families[0].apart), (5, None));
    }

    #[test]
    fn half_precision_may_be_further_off() {
        let mut device = checked(Precision::Half);
        let case = Family::Linear.case(0).unwrap();
        device.add(&case, BTreeSet::new(), Ok((1e-3, None)));
        assert!(device.is_good());
    }

    #[test]
    fn cases_are_chosen_by_family_and_seed() {
        let only = ["linear:3", "gate"].map(str::parse::<Choice>);
        assert!(only[1].is_err());
        let solved = solved(&[only[0].clone().unwrap()]).unwrap();
        assert_eq!(solved.len(), 1);
        assert_eq!(solved[0].case.seed, 3);
        assert!(!solved[0].wanted.is_empty());
    }
}
