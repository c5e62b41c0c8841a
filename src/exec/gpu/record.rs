//! What a network's run on the GPU consists of: dispatches as plain data, made once, with all that they need to know.

use std::fmt;

use super::place::Place;
use super::shader::Shader;
use super::traffic::Traffic;

/// How many numbers a vector has.
pub(crate) const LANES: usize = 4;

/// The most workgroups along a dimension of a dispatch, which every device takes.
const MOST_WORKGROUPS: u32 = 65535;

/// One run of a kernel over the images of a batch.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Dispatch {
    /// What it computes, in words.
    pub(crate) what: String,
    pub(crate) shader: Shader,
    /// The members of the kernel's `Kernel`, in order.
    pub(crate) numbers: Vec<(&'static str, u32)>,
    /// The numbers of its steps, those of the prologue first.
    pub(crate) steps: Vec<[u32; 4]>,
    /// Workgroups along x and y, for each image. Images are along z.
    pub(crate) workgroups: [u32; 2],
    /// Multiplications and additions for each image, about.
    pub(crate) flops: u64,
}

/// All dispatches of a network.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Recording {
    pub(crate) dispatches: Vec<Dispatch>,
    /// What each dispatch must at least read and write.
    pub(crate) traffic: Vec<Traffic>,
    /// Learnt numbers, in whole vectors.
    pub(crate) constants: Vec<f32>,
    /// From an image's values to the next image's, in vectors.
    pub(crate) pitch: usize,
    /// From an image's partial results to the next image's, in vectors.
    pub(crate) scratch_pitch: usize,
    /// Where the input and the output lie in an image.
    pub(super) input: Place,
    pub(super) output: Place,
}

impl Dispatch {
    /// What its uniform buffer holds: the kernel's members, filled up to whole vectors, then the steps' numbers.
    pub(crate) fn words(&self) -> Vec<u32> {
        let mut words: Vec<u32> = self.numbers.iter().map(|(_, value)| *value).collect();
        words.resize(words.len().next_multiple_of(LANES), 0);
        words.extend(self.steps.iter().flatten());
        words
    }

    /// A member of the kernel's `Kernel`, if it has one of that name.
    pub(crate) fn number(&self, name: &str) -> Option<u32> {
        let mut numbers = self.numbers.iter();
        numbers.find_map(|(member, number)| (*member == name).then_some(*number))
    }

    /// Sets a member of the kernel's `Kernel`, if it has one of that name.
    pub(crate) fn set(&mut self, name: &str, value: u32) {
        for (member, number) in &mut self.numbers {
            if *member == name {
                *number = value;
            }
        }
    }
}

impl Recording {
    /// Multiplications and additions for each image, about.
    pub(crate) fn flops(&self) -> u64 {
        self.dispatches.iter().map(|dispatch| dispatch.flops).sum()
    }
}

/// A line for each dispatch: what it computes, and by which kernel.
impl fmt::Display for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for dispatch in &self.dispatches {
            let [x, y] = dispatch.workgroups;
            writeln!(f, "{}: {} [{x} x {y}]", dispatch.what, dispatch.shader)?;
        }
        Ok(())
    }
}

/// So many workgroups in a grid that no dimension's limit is below.
pub(crate) fn folded(workgroups: usize) -> [u32; 2] {
    let total = workgroups.max(1).min(u32::MAX as usize) as u32;
    let rows = total.div_ceil(MOST_WORKGROUPS);
    [total.div_ceil(rows), rows]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_are_folded_within_the_limit() {
        assert_eq!(folded(0), [1, 1]);
        assert_eq!(folded(65535), [65535, 1]);
        for total in [65536, 1 << 20, (1 << 24) + 1] {
            let [x, y] = folded(total);
            assert!(x <= 65535 && y <= 65535);
            let made = x as usize * y as usize;
            assert!(made >= total && made < total + y as usize);
        }
    }
}
