//! Stacks of images through a network, frame by frame.

use super::{Selection, TaskError};
use crate::image::{Info, PixelType, Reader};
use crate::progress::Progress;
use crate::tasks::{FrameInput, FrameOutput, Frames, Task};

/// A model that turns images into images.
pub struct Images {
    pub(super) frames: Frames,
    pub(super) task: Task,
    /// The height and width of the windows that the network takes, and how many channels.
    pub(super) window: [usize; 3],
}

impl Images {
    /// Whether the result is probabilities, from 0 to 1.
    pub fn makes_probabilities(&self) -> bool {
        self.task == Task::Segment
    }

    /// What the result of a stack is, in float32: its axes are the input's.
    ///
    /// # Errors
    /// Fails if the network does not take so many channels.
    pub fn output(&self, input: &Info, selection: &Selection) -> Result<Info, TaskError> {
        let channels = self.frames.output_channels(selection.channels.len())?;
        let keeps = self.task == Task::Focus && selection.channels.len() == input.axes.channels;
        let names = channels > 1 || (keeps && input.axes.named.channels);
        Ok(Info {
            axes: selection.axes(input.axes, channels, names),
            kind: PixelType::F32,
            ..*input
        })
    }

    /// How many windows are run: the steps of a progress bar.
    ///
    /// # Errors
    /// Fails if the network does not take so many channels.
    pub fn steps(&mut self, selection: &Selection) -> Result<u64, TaskError> {
        let channels = selection.channels.len();
        let windows = self.frames.windows(channels, selection.size)?;
        Ok(windows * selection.count() as u64)
    }

    /// Whether the device can hold the frames of a stack, whose numbers are of that type.
    ///
    /// # Errors
    /// Fails if it cannot, or the network does not take so many channels.
    pub fn fits(&mut self, selection: &Selection, kind: PixelType) -> Result<(), TaskError> {
        let channels = selection.channels.len();
        Ok(self.frames.fits(channels, selection.size, kind)?)
    }

    /// Runs what was selected of a stack, and hands each frame's result to `take`, in order. Memory does not grow with
    /// the number of frames.
    ///
    /// # Errors
    /// Fails if a frame cannot be read or run, `take` fails, or the user asked to stop.
    pub fn run(
        &mut self,
        reader: &mut Reader,
        selection: &Selection,
        take: &mut dyn FnMut(FrameOutput) -> Result<(), TaskError>,
        progress: &dyn Progress,
    ) -> Result<(), TaskError> {
        let mut index = 0;
        let mut next = || {
            if index == selection.count() {
                return Ok(None);
            }
            let input = FrameInput {
                frame: selection.place(index).0,
                planes: selection.planes(reader, index)?,
                size: selection.size,
            };
            index += 1;
            Ok(Some(input))
        };
        self.frames.run(&mut next, take, progress)
    }

    /// Runs the network on one window of made-up numbers.
    ///
    /// # Errors
    /// Fails if it cannot be run, or gives a number that is not finite.
    pub(super) fn smoke(&mut self, progress: &dyn Progress) -> Result<(), TaskError> {
        let [channels, height, width] = self.window;
        let area = height * width;
        let plane = |channel: usize| crate::image::Pixels::F32(pattern(area, channel));
        let mut input = Some(FrameInput {
            frame: 0,
            planes: (0..channels).map(plane).collect(),
            size: [height, width],
        });
        let mut take = |_| Ok::<(), TaskError>(());
        self.frames
            .run(&mut || Ok(input.take()), &mut take, progress)
    }
}

/// Numbers from 0 to 1 that look like nothing, the same every time.
pub(super) fn pattern(count: usize, salt: usize) -> Vec<f32> {
    let number = |index: usize| {
        let mixed = (index as u64 + 1).wrapping_add((salt as u64) << 32);
        let mixed = mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 40) as f32 / (1 << 24) as f32
    };
    (0..count).map(number).collect()
}
