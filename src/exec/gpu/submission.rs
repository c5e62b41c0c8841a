//! What is handed to a GPU at once: parts of a batch that do not take long, and waiting for them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wgpu::{
    BindGroup, Buffer, CommandEncoder, ComputePass, ComputePipeline, PollType, SubmissionIndex,
};

use super::device::{Device, SLOT};
use super::record::Dispatch;
use super::timer::{MOST_TIMED, Timer, Timing};
use super::traffic::Traffic;
use crate::exec::{ExecError, Profile};
use crate::progress::{Progress, Silent};

/// What is handed to the device at once takes about so long: desktops reset a device that is busy for seconds.
const SUBMISSION: Duration = Duration::from_millis(250);

/// What is handed over first, before it is known how fast the device is: multiplications and additions.
const FIRST_FLOPS: u64 = 2_000_000_000;

/// The most that is handed over before something of it is done.
const MOST_UNDER_WAY: usize = 2;

/// What was handed over to a device.
pub(super) struct Submissions {
    device: Arc<Device>,
    /// Multiplications and additions that are handed over at once; `None` before it is known how fast the device is.
    budget: Option<u64>,
    under_way: VecDeque<Submission>,
    /// How many there were.
    count: u64,
    /// If a profile is made.
    pub(super) timer: Option<Timer>,
}

/// What was handed over, and how many windows are finished with it.
struct Submission {
    index: SubmissionIndex,
    number: u64,
    windows: u64,
    timing: Option<Timing>,
}

/// A dispatch of a batch, ready to be encoded.
pub(super) struct Item<'a> {
    pub(super) dispatch: &'a Dispatch,
    pub(super) traffic: Traffic,
    pipeline: &'a ComputePipeline,
    around: bool,
    offset: u32,
    pub(super) workgroups: [u32; 3],
    flops: u64,
    /// How many windows are finished with it.
    pub(super) windows: u64,
}

/// What the kernels of a network are bound to, and those around it.
#[derive(Clone, Copy)]
pub(super) struct Bindings<'a> {
    pub(super) network: &'a BindGroup,
    pub(super) around: &'a BindGroup,
}

/// A result that is copied to where it can be read.
#[derive(Clone, Copy)]
pub(super) struct Readback<'a> {
    pub(super) from: &'a Buffer,
    pub(super) to: &'a Buffer,
    pub(super) bytes: u64,
}

impl Readback<'_> {
    pub(super) fn encode(self, encoder: &mut CommandEncoder) {
        encoder.copy_buffer_to_buffer(self.from, 0, self.to, 0, self.bytes);
    }
}

impl Submissions {
    /// With `profile`, all that is handed over is timed.
    pub(super) fn new(device: Arc<Device>, profile: bool) -> Self {
        Self {
            timer: profile.then(|| Timer::new(device.clone())),
            device,
            budget: None,
            under_way: VecDeque::new(),
            count: 0,
        }
    }

    /// Hands items over, in parts that do not take long; the last ends with `readback`. Gives its number.
    pub(super) fn hand_over(
        &mut self,
        items: &[Item<'_>],
        bindings: Bindings<'_>,
        readback: Readback<'_>,
        progress: &dyn Progress,
    ) -> Result<u64, ExecError> {
        let mut rest = items;
        loop {
            let budget = self.budget.unwrap_or(FIRST_FLOPS);
            let most = self.timer.as_ref().map_or(usize::MAX, |_| MOST_TIMED);
            let (part, after) = rest.split_at(affordable(rest, budget).min(most));
            rest = after;
            let mut encoder = self
                .device
                .device
                .create_command_encoder(&Default::default());
            let readback = rest.is_empty().then_some(readback);
            let mut timing = match &mut self.timer {
                Some(timer) => Some(timer.encode(&mut encoder, part, bindings, readback)?),
                None => {
                    encode(&mut encoder, part, bindings, readback);
                    None
                }
            };
            let begun = Instant::now();
            let index = self.device.queue.submit([encoder.finish()]);
            if let Some(timing) = &mut timing {
                timing.read();
            }
            self.count += 1;
            self.under_way.push_back(Submission {
                index,
                number: self.count,
                windows: part.iter().map(|item| item.windows).sum(),
                timing,
            });
            if rest.is_empty() {
                return Ok(self.count);
            }
            if self.budget.is_none() {
                // Nothing else is under way: what this takes tells how fast the device is.
                self.wait(0, progress)?;
                let flops: u64 = part.iter().map(|item| item.flops).sum();
                self.budget = Some(affordable_flops(flops, begun.elapsed()));
            }
            self.wait(MOST_UNDER_WAY - 1, progress)?;
        }
    }

    /// Waits for the submission of that number, and all before it; later ones are let run on.
    pub(super) fn wait_through(
        &mut self,
        number: u64,
        progress: &dyn Progress,
    ) -> Result<(), ExecError> {
        let before = |submission: &&Submission| submission.number <= number;
        let own = self.under_way.iter().filter(before).count();
        self.wait(self.under_way.len() - own, progress)
    }

    /// What the device did so far, all that is under way included, if that is noted.
    pub(super) fn profile(&mut self) -> Result<Option<Profile>, ExecError> {
        if self.timer.is_some() {
            self.wait(0, &Silent)?;
        }
        Ok(self.timer.as_ref().map(Timer::profile))
    }

    /// Waits until at most so many submissions are under way.
    fn wait(&mut self, most: usize, progress: &dyn Progress) -> Result<(), ExecError> {
        while self.under_way.len() > most {
            if progress.interrupted() {
                return Err(ExecError::Interrupted);
            }
            let Some(first) = self.under_way.pop_front() else {
                break;
            };
            self.wait_for(&first.index)?;
            if let (Some(timer), Some(timing)) = (&mut self.timer, first.timing) {
                timer.finish(timing)?;
            }
            if first.windows > 0 {
                progress.step(first.windows);
            }
        }
        Ok(())
    }

    fn wait_for(&self, index: &SubmissionIndex) -> Result<(), ExecError> {
        let waited = self.device.device.poll(PollType::Wait {
            submission_index: Some(index.clone()),
            timeout: None,
        });
        self.device.check()?;
        waited.map_err(|error| self.device.failure(error.to_string()))?;
        Ok(())
    }
}

/// Writes a compute pass of these dispatches, and what follows it.
fn encode(
    encoder: &mut CommandEncoder,
    items: &[Item<'_>],
    bindings: Bindings<'_>,
    readback: Option<Readback<'_>>,
) {
    let mut pass = encoder.begin_compute_pass(&Default::default());
    for item in items {
        dispatch(&mut pass, item, bindings);
    }
    drop(pass);
    if let Some(readback) = readback {
        readback.encode(encoder);
    }
}

/// Writes a dispatch.
pub(super) fn dispatch(pass: &mut ComputePass<'_>, item: &Item<'_>, bindings: Bindings<'_>) {
    let bound = if item.around {
        bindings.around
    } else {
        bindings.network
    };
    pass.set_pipeline(item.pipeline);
    pass.set_bind_group(0, bound, &[item.offset]);
    let [x, y, z] = item.workgroups;
    pass.dispatch_workgroups(x, y, z);
}

/// Dispatches for so many images, whose numbers lie one after another.
pub(super) fn items<'a>(
    dispatches: &'a [Dispatch],
    traffic: &'a [Traffic],
    pipelines: &'a [ComputePipeline],
    around: bool,
    images: usize,
) -> impl Iterator<Item = Item<'a>> {
    let all = dispatches.iter().zip(traffic).zip(pipelines).enumerate();
    all.map(move |(index, ((dispatch, traffic), pipeline))| Item {
        dispatch,
        traffic: *traffic,
        pipeline,
        around,
        offset: (index * SLOT) as u32,
        workgroups: [
            dispatch.workgroups[0],
            dispatch.workgroups[1],
            images as u32,
        ],
        flops: dispatch.flops * images as u64,
        windows: 0,
    })
}

/// How many of the items, at least one, together stay within a budget.
fn affordable(items: &[Item<'_>], budget: u64) -> usize {
    let mut sum = 0_u64;
    let fitting = items.iter().take_while(|item| {
        sum = sum.saturating_add(item.flops);
        sum <= budget
    });
    fitting.count().max(1)
}

/// How much can be computed in the time that a submission may take, if `flops` took so long.
fn affordable_flops(flops: u64, took: Duration) -> u64 {
    let share = SUBMISSION.as_secs_f64() / took.as_secs_f64().max(1e-6);
    (flops as f64 * share) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_handed_over_at_once_takes_a_quarter_of_a_second() {
        let second = Duration::from_secs(1);
        assert_eq!(affordable_flops(1_000_000, second), 250_000);
        assert_eq!(affordable_flops(1_000_000, second / 1000), 250_000_000);
        assert!(affordable_flops(1_000_000, Duration::ZERO) > 0);
    }
}
