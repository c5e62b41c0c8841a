//! Stacks of images through a network, frame by frame: of files, or in memory.

use super::{Selection, TaskError};
use crate::image::{Blending, Info, PixelType, Pixels, Reader};
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

    /// Whether results stay as the network gives them, from now on: neither scaled back to the input's numbers nor, of
    /// a segmentation, made probabilities.
    pub fn keep_raw(&mut self, raw: bool) {
        self.frames.keep_raw(raw);
    }

    /// How windows are blended, from now on; `None` is the task's own way.
    pub fn blend(&mut self, blending: Option<Blending>) {
        self.frames.blend(blending);
    }

    /// How many channels come out for frames of so many channels.
    ///
    /// # Errors
    /// Fails if the network does not take so many channels.
    pub fn output_channels(&self, channels: usize) -> Result<usize, TaskError> {
        Ok(self.frames.output_channels(channels)?)
    }

    /// How many windows a frame has, the steps that it makes of a progress bar; `size` is its height and width.
    ///
    /// # Errors
    /// Fails if the network does not take so many channels, or there is nothing in the frame.
    pub fn windows(&mut self, channels: usize, size: [usize; 2]) -> Result<u64, TaskError> {
        Ok(self.frames.windows(channels, size)?)
    }

    /// How many windows are run: the steps of a progress bar.
    ///
    /// # Errors
    /// Fails if the network does not take so many channels.
    pub fn steps(&mut self, selection: &Selection) -> Result<u64, TaskError> {
        let windows = self.windows(selection.channels.len(), selection.size)?;
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
        self.run_frames(&mut next, take, progress)
    }

    /// Runs frames that are in memory, from `next` until it has none, and hands each result to `take`, in order. What a
    /// frame lends is not copied.
    ///
    /// # Errors
    /// Fails if a frame cannot be run, `next` or `take` fails, or the user asked to stop.
    pub fn run_frames<'a>(
        &mut self,
        next: &mut dyn FnMut() -> Result<Option<FrameInput<'a>>, TaskError>,
        take: &mut dyn FnMut(FrameOutput) -> Result<(), TaskError>,
        progress: &dyn Progress,
    ) -> Result<(), TaskError> {
        self.frames.run(next, take, progress)
    }

    /// Runs the network on one window of made-up numbers.
    ///
    /// # Errors
    /// Fails if it cannot be run, or gives a number that is not finite.
    pub(super) fn smoke(&mut self, progress: &dyn Progress) -> Result<(), TaskError> {
        let [channels, height, width] = self.window;
        let area = height * width;
        let plane = |channel: usize| Pixels::F32(pattern(area, channel).into());
        let mut input = Some(FrameInput {
            frame: 0,
            planes: (0..channels).map(plane).collect(),
            size: [height, width],
        });
        let mut take = |_| Ok(());
        self.run_frames(&mut || Ok(input.take()), &mut take, progress)
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
