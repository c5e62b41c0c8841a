//! What is handed to a GPU at once: parts of a batch that do not take long, and waiting for them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wgpu::{BindGroup, CommandEncoder, ComputePass, ComputePipeline, SubmissionIndex};

use super::device::{Device, SLOT};
use super::record::Dispatch;
use super::timer::{MOST_TIMED, Timer, Timing};
use super::traffic::Traffic;
use crate::exec::{ExecError, Profile};
use crate::progress::{Progress, Silent};

/// What is handed to the device at once takes about so long: desktops reset a device that is busy for seconds. Half a
/// second is never meant to be reached.
const SUBMISSION: Duration = Duration::from_millis(250);

/// What is handed over first, before it is known how fast the device is: multiplications and additions. Programs on a CPU
/// do as little as 200 million in a second where images are small.
pub(super) const FIRST_FLOPS: u64 = 50_000_000;

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
    /// When the latest that is done was done.
    done: Instant,
    /// Windows that `progress` has heard of, of frames whose results were not taken yet.
    stepped: u64,
    /// How many of them are run again, and not told again.
    again: u64,
    /// If a profile is made.
    pub(super) timer: Option<Timer>,
}

/// What was handed over, and how many windows are finished with it.
struct Submission {
    index: SubmissionIndex,
    number: u64,
    windows: u64,
    flops: u64,
    begun: Instant,
    timing: Option<Timing>,
}

/// What is handed over together.
pub(super) struct Batch<'a> {
    pub(super) items: &'a [Item<'a>],
    /// What the network's kernels are bound to, and those around it.
    pub(super) network: &'a BindGroup,
    pub(super) around: &'a BindGroup,
    /// Written before all items, and after them.
    pub(super) before: &'a dyn Fn(&mut CommandEncoder),
    pub(super) after: &'a dyn Fn(&mut CommandEncoder),
    /// The bytes that these copy; `None` if it is no work that a profile is made of.
    pub(super) copied: Option<[u64; 2]>,
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
    windows: u64,
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
            done: Instant::now(),
            stepped: 0,
            again: 0,
        }
    }

    /// Forgets what is under way, on this device or on the one that has taken its place: it is run again.
    pub(super) fn restart(&mut self, device: Arc<Device>) {
        if let Some(timer) = &mut self.timer {
            timer.restart(device.clone());
        }
        self.device = device;
        self.budget = None;
        self.under_way.clear();
        self.again = self.stepped;
    }

    /// The results of so many windows are taken, and will not be run again.
    pub(super) fn taken(&mut self, windows: u64) {
        self.stepped = self.stepped.saturating_sub(windows);
    }

    /// What is handed over at once: multiplications and additions.
    pub(super) fn budget(&self) -> u64 {
        self.budget.unwrap_or(FIRST_FLOPS)
    }

    /// Whether it is known how fast the device is.
    pub(super) fn is_measured(&self) -> bool {
        self.budget.is_some()
    }

    /// Hands a batch over, in parts that do not take long. Gives the numbers of the first part and the last.
    pub(super) fn hand_over(
        &mut self,
        batch: &Batch<'_>,
        progress: &dyn Progress,
    ) -> Result<[u64; 2], ExecError> {
        let first = self.count + 1;
        let mut rest = batch.items;
        loop {
            let most = self.timer.as_ref().map_or(usize::MAX, |_| MOST_TIMED);
            let (part, after) = rest.split_at(affordable(rest, self.budget()).min(most));
            rest = after;
            let mut encoder = self
                .device
                .device
                .create_command_encoder(&Default::default());
            let part = Part {
                items: part,
                is_first: self.count + 1 == first,
                is_last: rest.is_empty(),
            };
            let mut timing = match (&mut self.timer, batch.copied) {
                (Some(timer), Some(copied)) => {
                    Some(timer.encode(&mut encoder, part, batch, copied)?)
                }
                _ => {
                    encode(&mut encoder, part, batch);
                    None
                }
            };
            let begun = Instant::now();
            let index = self.device.queue.submit([encoder.finish()]);
            self.device.check()?;
            if let Some(timing) = &mut timing {
                timing.read();
            }
            let part = part.items;
            self.count += 1;
            self.under_way.push_back(Submission {
                index,
                number: self.count,
                windows: part.iter().map(|item| item.windows).sum(),
                flops: part.iter().map(|item| item.flops).sum(),
                begun,
                timing,
            });
            if rest.is_empty() {
                return Ok([first, self.count]);
            }
            let most = if self.is_measured() {
                MOST_UNDER_WAY - 1
            } else {
                0
            };
            self.wait(most, progress)?;
        }
    }

    /// Whether the submission of that number was waited for.
    pub(super) fn is_done(&self, number: u64) -> bool {
        let first = self.under_way.front();
        first.is_none_or(|first| number < first.number)
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
    pub(super) fn wait(&mut self, most: usize, progress: &dyn Progress) -> Result<(), ExecError> {
        while self.under_way.len() > most {
            if progress.interrupted() {
                return Err(ExecError::Interrupted);
            }
            let Some(first) = self.under_way.pop_front() else {
                break;
            };
            let looked = Instant::now();
            self.device.wait(Some(first.index))?;
            if let (Some(timer), Some(timing)) = (&mut self.timer, first.timing) {
                timer.finish(timing)?;
            }
            // It began when it was handed over, or when the one before it was done.
            let took = first.begun.max(self.done).elapsed();
            let waited = 2 * looked.elapsed() > took;
            self.done = Instant::now();
            self.budget = learnt(self.budget, first.flops, took, waited);
            let again = first.windows.min(self.again);
            self.again -= again;
            let new = first.windows - again;
            if new > 0 {
                self.stepped += new;
                progress.step(new);
            }
        }
        Ok(())
    }
}

/// Items of a batch that are handed over at once.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    pub(super) items: &'a [Item<'a>],
    pub(super) is_first: bool,
    pub(super) is_last: bool,
}

/// Writes a compute pass of these dispatches, and what is before and after the batch.
fn encode(encoder: &mut CommandEncoder, part: Part<'_>, batch: &Batch<'_>) {
    if part.is_first {
        (batch.before)(encoder);
    }
    let mut pass = encoder.begin_compute_pass(&Default::default());
    for item in part.items {
        dispatch(&mut pass, item, batch);
    }
    drop(pass);
    if part.is_last {
        (batch.after)(encoder);
    }
}

/// Writes a dispatch.
pub(super) fn dispatch(pass: &mut ComputePass<'_>, item: &Item<'_>, batch: &Batch<'_>) {
    let bound = if item.around {
        batch.around
    } else {
        batch.network
    };
    pass.set_pipeline(item.pipeline);
    pass.set_bind_group(0, bound, &[item.offset]);
    let [x, y, z] = item.workgroups;
    pass.dispatch_workgroups(x, y, z);
}

impl<'a> Item<'a> {
    /// A dispatch for so many images. Its numbers are those of that place among the network's, or those around it.
    pub(super) fn new(
        dispatch: &'a Dispatch,
        traffic: Traffic,
        pipeline: &'a ComputePipeline,
        place: usize,
        images: usize,
    ) -> Self {
        let [x, y] = dispatch.workgroups;
        Self {
            dispatch,
            traffic,
            pipeline,
            around: dispatch.shader.kernel.is_around(),
            offset: (place * SLOT) as u32,
            workgroups: [x, y, images as u32],
            flops: dispatch.flops * images as u64,
            windows: 0,
        }
    }

    /// The same, with so many windows finished with it.
    pub(super) fn finishing(mut self, windows: usize) -> Self {
        self.windows = windows as u64;
        self
    }
}

/// How many of the items, at least one, together stay within a budget.
fn affordable(items: &[Item<'_>], budget: u64) -> usize {
    affordable_of(items.iter().map(|item| item.flops), budget)
}

fn affordable_of(flops: impl Iterator<Item = u64>, budget: u64) -> usize {
    let mut sum = 0_u64;
    let fitting = flops.take_while(|flops| {
        sum = sum.saturating_add(*flops);
        sum <= budget
    });
    fitting.count().max(1)
}

/// The budget, after a submission of `flops` took so long. If it was not `waited` for, it may have been done before it was
/// looked at, and took less: so a slower one tells something only if it was waited for, and took longer than a submission
/// ever should. A faster one always does, and is believed step by step: the kernel that comes next may be slower.
fn learnt(budget: Option<u64>, flops: u64, took: Duration, waited: bool) -> Option<u64> {
    let share = SUBMISSION.as_secs_f64() / took.as_secs_f64().max(1e-6);
    let found = ((flops as f64 * share) as u64).max(1);
    let Some(budget) = budget else {
        return Some(if waited {
            found
        } else {
            found.max(FIRST_FLOPS)
        });
    };
    Some(match found > budget {
        true => found.min(budget.saturating_mul(2)),
        false if waited && took > 2 * SUBMISSION => found,
        false => budget,
    })
}

/// How many images are run together, so that the network on all of them, `flops` for each, stays within a budget: a power
/// of two, so that memory is not made anew for each bit that is learnt of the device's speed.
pub(super) fn images_within(budget: u64, flops: u64) -> usize {
    let fitting = usize::try_from(budget / flops.max(1)).unwrap_or(usize::MAX);
    1 << fitting.max(1).ilog2()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_handed_over_at_once_takes_a_quarter_of_a_second() {
        let second = Duration::from_secs(1);
        let flops = FIRST_FLOPS;
        assert_eq!(learnt(None, flops, second, true), Some(flops / 4));
        assert_eq!(learnt(None, flops, second / 1000, true), Some(flops * 250));
        assert_eq!(learnt(None, 1000, second / 1000, true), Some(250_000));
        assert_eq!(learnt(None, 1, 1000 * second, true), Some(1));
        // What was not waited for may have been done long before.
        assert_eq!(learnt(None, flops, second, false), Some(flops));
        assert_eq!(learnt(None, flops, second / 1000, false), Some(flops * 250));
    }

    #[test]
    fn only_what_took_far_too_long_lowers_the_budget() {
        let fast = Some(FIRST_FLOPS * 10);
        assert_eq!(learnt(fast, FIRST_FLOPS, SUBMISSION, true), fast);
        assert_eq!(learnt(fast, FIRST_FLOPS, 2 * SUBMISSION, true), fast);
        assert_eq!(learnt(fast, FIRST_FLOPS, 4 * SUBMISSION, false), fast);
        let slow = learnt(fast, FIRST_FLOPS, 4 * SUBMISSION, true);
        assert_eq!(slow, Some(FIRST_FLOPS / 4));
    }

    #[test]
    fn the_budget_is_raised_step_by_step() {
        let quick = SUBMISSION / 1000;
        let mut budget = Some(FIRST_FLOPS);
        for step in 1..=5 {
            budget = learnt(budget, FIRST_FLOPS, quick, false);
            assert_eq!(budget, Some(FIRST_FLOPS << step));
        }
        assert_eq!(learnt(Some(7), 7, SUBMISSION / 2, true), Some(14));
        assert_eq!(learnt(Some(7), 9, SUBMISSION, true), Some(9));
        assert_eq!(learnt(Some(u64::MAX), 1, quick, true), Some(u64::MAX));
    }

    #[test]
    fn images_are_run_together_as_a_submission_affords() {
        assert_eq!(images_within(1000, 2000), 1);
        assert_eq!(images_within(1000, 1000), 1);
        assert_eq!(images_within(3999, 1000), 2);
        assert_eq!(images_within(4000, 1000), 4);
        assert_eq!(images_within(0, 0), 1);
        assert_eq!(images_within(u64::MAX, 0), 1 << 63);
    }

    #[test]
    fn parts_stay_within_the_budget_and_always_go_on() {
        let cut = |list: &[u64], budget: u64| affordable_of(list.iter().copied(), budget);
        assert_eq!(cut(&[3, 3, 3], 6), 2);
        assert_eq!(cut(&[3, 3, 3], 100), 3);
        // One that is larger than the budget goes alone.
        assert_eq!(cut(&[7, 1, 1], 6), 1);
        assert_eq!(cut(&[1, 7, 1], 6), 1);
        assert_eq!(cut(&[u64::MAX, u64::MAX], u64::MAX - 1), 1);
    }
}
