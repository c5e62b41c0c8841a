//! A session that computes graphs by [`crate::plain`], and windows by their definition, in float64.

use std::collections::VecDeque;

use model_bundle::exec::{ExecError, Finish, Frame, Session};
use model_bundle::nn::Program;
use model_bundle::progress::Progress;

use crate::plain;

/// A network that is run by plain loops.
pub struct PlainSession {
    program: Program,
    depth: usize,
    under_way: VecDeque<Vec<f32>>,
}

impl PlainSession {
    /// That wants so many frames under way, and fails if it has more.
    pub fn new(program: Program, depth: usize) -> Self {
        Self {
            program,
            depth,
            under_way: VecDeque::new(),
        }
    }

    fn blended(&self, frame: &Frame) -> Vec<f32> {
        let windows = &frame.windows;
        let (side, [height, width]) = (windows.side, windows.frame);
        let channels = self.program.output().channels;
        let pixels = frame.pixels.to_f32();
        let mut sums = vec![0.0; channels * height * width];
        let mut counts = vec![0.0; height * width];
        for index in 0..windows.count() {
            let [top, left] = windows.origin(index);
            let mut window = Vec::new();
            for (channel, scaling) in frame.scaling.iter().enumerate() {
                for y in 0..side {
                    for x in 0..side {
                        let (y, x) = (windows.source(0, top + y), windows.source(1, left + x));
                        let value = pixels[(channel * height + y) * width + x];
                        window.push(scaling.forward(value));
                    }
                }
            }
            let result = plain::run(&self.program.graph, &window);
            for (place, weight) in windows.weights.iter().enumerate() {
                let y = (top + place / side).wrapping_sub(windows.before[0]);
                let x = (left + place % side).wrapping_sub(windows.before[1]);
                if y >= height || x >= width {
                    continue;
                }
                let weight = f64::from(*weight);
                counts[y * width + x] += weight;
                for channel in 0..channels {
                    let at = (channel * height + y) * width + x;
                    sums[at] += weight * result[channel * side * side + place];
                }
            }
        }
        let finished = sums.iter().enumerate().map(|(at, sum)| {
            let value = sum / counts[at % (height * width)];
            match frame.finish {
                Finish::Keep => value as f32,
                Finish::ScaleBack => frame.scaling[at / (height * width)].back(value as f32),
                Finish::Sigmoid => (1.0 / (1.0 + (-value).exp())) as f32,
            }
        });
        finished.collect()
    }
}

impl Session for PlainSession {
    fn program(&self) -> &Program {
        &self.program
    }

    fn run(&mut self, images: &[f32], count: usize) -> Result<Vec<f32>, ExecError> {
        let size = self.program.input().elements();
        assert_eq!(images.len(), count * size);
        let each = images.chunks(size);
        let results = each.flat_map(|image| plain::run(&self.program.graph, image));
        Ok(results.map(|value| value as f32).collect())
    }

    fn submit(&mut self, frame: Frame, _: &dyn Progress) -> Result<(), ExecError> {
        let area: usize = frame.windows.frame.iter().product();
        let channels = self.program.input().channels;
        assert_eq!(frame.pixels.len(), channels * area);
        assert_eq!(frame.scaling.len(), channels);
        assert!(self.under_way.len() < self.depth.max(1));
        let result = self.blended(&frame);
        self.under_way.push_back(result);
        Ok(())
    }

    fn collect(&mut self, _: &dyn Progress) -> Result<Option<Vec<f32>>, ExecError> {
        Ok(self.under_way.pop_front())
    }

    fn depth(&self) -> usize {
        self.depth
    }
}
