//! `bundle test --all-devices`: every model on every device, compared with its vector and between devices.

use serde::Serialize;

use super::{Answer, Bench, Error, Options, Tested, Tolerance, chosen, images, tables, test_model};
use crate::digest::Sha256;
use crate::exec::Executor;
use crate::exec::cpu::Cpu;
use crate::exec::gpu::{Gpu, Precision, adapters};
use crate::progress::Progress;
use crate::runner::{RunnerError, TaskError};
use crate::subject::Subject;

/// How far images of two devices may be from each other, in parts of the largest number: each may be 2e-5 from what is
/// right.
const IMAGES: f64 = 4e-5;
/// How far probabilities may be.
const PROBABILITIES: f64 = 1e-4;
/// The same where one of the two keeps numbers in float16.
const HALF: f64 = 2.0 * Tolerance::HALF_SHARE;

/// What was found.
#[derive(Debug, Serialize)]
pub struct Report {
    pub target: std::path::PathBuf,
    /// Of the ZIP, if it is one.
    pub sha256: Option<Sha256>,
    /// The CPU first, then the adapters, the preferred first.
    pub devices: Vec<OnDevice>,
    /// One for each model that at least two devices gave an answer for.
    pub between: Vec<Between>,
}

/// A device, and the models on it.
#[derive(Debug, Serialize)]
pub struct OnDevice {
    /// With backend, driver and precision.
    pub device: String,
    /// What it is made of, as `bundle devices` says it.
    pub kind: &'static str,
    /// Why it cannot be used.
    pub failed: Option<String>,
    pub models: Vec<Tested>,
}

/// How far the devices are from each other on a model's vector.
#[derive(Debug, Serialize)]
pub struct Between {
    pub key: String,
    /// The two that are furthest apart, by their positions.
    pub devices: [usize; 2],
    /// How far: of images in parts of the largest number, of probabilities as it is; none where one is no number.
    pub apart: Option<f64>,
    /// How far they may be.
    pub tolerance: f64,
    /// How many classes and labels are not equal.
    pub unequal: u64,
    /// Why they cannot be compared.
    pub problem: Option<String>,
}

impl Between {
    /// Whether the devices agree.
    pub fn is_good(&self) -> bool {
        let is_near = self.apart.is_some_and(|apart| apart <= self.tolerance);
        is_near && self.unequal == 0 && self.problem.is_none()
    }
}

impl Report {
    /// Whether no device failed, no model failed on any, and all agree.
    pub fn is_good(&self) -> bool {
        let failed = |model: &Tested| model.verdict.is_failure();
        let device =
            |device: &OnDevice| device.failed.is_none() && !device.models.iter().any(failed);
        self.devices.iter().all(device) && self.between.iter().all(Between::is_good)
    }
}

/// A device that is open, or why it is not.
struct Opened {
    name: String,
    kind: &'static str,
    precision: Precision,
    executor: Result<Box<dyn Executor>, String>,
}

/// Tests models on the CPU and on every adapter, programs on the CPU among them. A device that fails is in the report,
/// and the others are tested.
///
/// # Errors
/// As [`super::test`].
pub fn test_on_all(options: &Options, progress: &dyn Progress) -> Result<Report, Error> {
    let subject = Subject::open(&options.target)?;
    options.claim()?;
    let models = chosen(options, &subject)?;
    let opened = open(options)?;
    let mut report = Report {
        target: options.target.clone(),
        sha256: super::sha256(&subject, options, progress)?,
        devices: Vec::new(),
        between: Vec::new(),
    };
    for device in &opened {
        report.devices.push(OnDevice {
            device: device.name.clone(),
            kind: device.kind,
            failed: device.executor.as_ref().err().cloned(),
            models: Vec::new(),
        });
    }
    for model in models {
        let mut answers: Vec<(usize, Answer)> = Vec::new();
        for (index, device) in opened.iter().enumerate() {
            let Ok(executor) = &device.executor else {
                continue;
            };
            let bench = Bench {
                executor: &**executor,
                precision: device.precision,
                folder: Some(format!("device-{index}")),
            };
            let (tested, answer) = test_model(options, &subject, model, &bench, progress)?;
            report.devices[index].models.push(tested);
            answers.extend(answer.map(|answer| (index, answer)));
        }
        let half = options.precision == Precision::Half;
        report
            .between
            .extend(furthest(model.key.as_str(), &answers, half));
    }
    Ok(report)
}

/// Opens every device. The CPU computes in float32, whatever is asked for.
fn open(options: &Options) -> Result<Vec<Opened>, Error> {
    let threads = options
        .threads
        .map_or_else(Cpu::available, |threads| threads.get());
    let cpu = Cpu::new(threads).map_err(|error| RunnerError::Device(error.into()))?;
    let mut opened = vec![Opened {
        name: cpu.name(),
        kind: "CPU",
        precision: Precision::Single,
        executor: Ok(Box::new(cpu)),
    }];
    for adapter in adapters() {
        let facts = &adapter.facts;
        let gpu = Gpu::new(&adapter, options.precision);
        opened.push(Opened {
            name: match &gpu {
                Ok(gpu) => gpu.name(),
                Err(_) => format!("{}, {}, {}", facts.name, facts.backend, facts.driver),
            },
            kind: facts.kind.name(),
            precision: options.precision,
            executor: match gpu {
                Ok(gpu) => Ok(Box::new(gpu)),
                Err(error) => Err(error.to_string()),
            },
        });
    }
    Ok(opened)
}

/// The two answers that are furthest apart, if there are two. What cannot be compared is further apart than what can, and
/// other classes are further than other numbers.
fn furthest(key: &str, answers: &[(usize, Answer)], half: bool) -> Option<Between> {
    let pairs = answers.iter().enumerate();
    let pairs = pairs.flat_map(|(at, one)| answers[at + 1..].iter().map(move |other| (one, other)));
    let compared = pairs.map(|(one, other)| between(key, one, other, half));
    let rank = |between: &Between| {
        let apart = between.apart.unwrap_or(f64::INFINITY);
        (between.problem.is_some(), between.unequal, apart)
    };
    compared.reduce(|most, next| match rank(&next) > rank(&most) {
        true => next,
        false => most,
    })
}

fn between(key: &str, one: &(usize, Answer), other: &(usize, Answer), half: bool) -> Between {
    let distance = match (&one.1, &other.1) {
        (Answer::Images(one), Answer::Images(other)) => {
            Ok((IMAGES, images::Stack::apart(other, one), 0))
        }
        (Answer::Table(one), Answer::Table(other)) => {
            tables::apart(other, one).map(|(apart, unequal)| (PROBABILITIES, apart, unequal))
        }
        _ => Err(TaskError::Shape {
            what: "a result on another device".to_owned(),
            expected: "a result of the same kind".to_owned(),
            found: "another".to_owned(),
        }),
    };
    let (tolerance, apart, unequal, problem) = match distance {
        Ok((tolerance, apart, unequal)) => (tolerance, apart, unequal, None),
        Err(error) => (0.0, f64::INFINITY, 0, Some(error.to_string())),
    };
    Between {
        key: key.to_owned(),
        devices: [one.0, other.0],
        apart: apart.is_finite().then_some(apart),
        tolerance: if half { HALF } else { tolerance },
        unequal,
        problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Answer {
        Answer::Table(text.as_bytes().to_vec())
    }

    #[test]
    fn the_furthest_two_are_named() {
        let answers = [
            (0, table("label,class,p0\n1,noise,0.50\n")),
            (1, table("label,class,p0\n1,noise,0.50001\n")),
            (3, table("label,class,p0\n1,noise,0.5004\n")),
        ];
        let near = furthest("cells", &answers[..2], false).unwrap();
        assert!(near.is_good(), "{near:?}");
        let far = furthest("cells", &answers, false).unwrap();
        assert_eq!(far.devices, [0, 3]);
        assert!(!far.is_good());
        // What float16 loses.
        assert!(furthest("cells", &answers, true).unwrap().is_good());
        assert!(furthest("cells", &answers[..1], false).is_none());
    }

    #[test]
    fn another_class_is_never_agreement() {
        let answers = [
            (0, table("label,class,p0\n1,noise,0.5\n")),
            (1, table("label,class,p0\n1,clump,0.5\n")),
            (2, table("label,class,p0\n1,noise,0.9\n")),
        ];
        let found = furthest("cells", &answers, true).unwrap();
        // The last two differ in their number too.
        assert_eq!((found.devices, found.unequal), ([1, 2], 1));
        assert!(!found.is_good());
        let short = [(0, table("label,p0\n1,0.5\n")), (1, table("label,p0\n"))];
        let found = furthest("cells", &short, false).unwrap();
        assert!(found.problem.is_some() && !found.is_good());
        let message = found.problem.unwrap();
        assert!(
            message.contains("expected 1 rows of label,p0, found 0"),
            "{message}"
        );
    }
}
