//! Random numbers, shapes and convolutions, the same on every machine for the same seed.

use crate::nn::{Conv, Shape};

/// Random numbers (SplitMix64, Steele and others 2014).
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of `low..=high`.
    pub fn within(&mut self, low: usize, high: usize) -> usize {
        low + (self.next() % (high - low + 1) as u64) as usize
    }

    /// One of these, of which there is at least one.
    pub fn one_of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.within(0, list.len() - 1)]
    }

    /// Yes or no.
    pub fn chance(&mut self) -> bool {
        self.next().is_multiple_of(2)
    }

    /// -1..1
    pub fn number(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    /// So many of -1..1.
    pub fn numbers(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.number()).collect()
    }

    /// A shape, one pixel and one channel among them.
    pub fn shape(&mut self, most_channels: usize, most_side: usize) -> Shape {
        Shape::new(
            self.within(1, most_channels),
            self.within(1, most_side),
            self.within(1, most_side),
        )
    }

    /// A convolution with this geometry, whose results are about as large as its inputs.
    pub fn conv(
        &mut self,
        inputs: usize,
        outputs: usize,
        kernel: [usize; 2],
        groups: usize,
    ) -> Conv {
        let fan_in = kernel[0] * kernel[1] * (inputs / groups);
        let scale = (3.0 / fan_in as f32).sqrt();
        let weight = (0..fan_in * outputs)
            .map(|_| self.number() * scale)
            .collect();
        let bias = self.chance().then(|| self.numbers(outputs).into());
        Conv {
            outputs,
            kernel,
            stride: [1, 1],
            padding: [[0, 0], [0, 0]],
            groups,
            transposed: false,
            weight,
            bias,
        }
    }
}
