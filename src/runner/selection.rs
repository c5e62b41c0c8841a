//! Which planes of a stack go in.

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::image::{Axes, Info, Pixels, Reader};

use super::TaskError;

/// Frames and channels of a stack; of slices, all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    pub frames: Range<usize>,
    pub slices: usize,
    pub channels: Range<usize>,
    /// Height and width.
    pub size: [usize; 2],
}

/// Why a stack does not have what was asked of it. Everything is counted from 0.
#[derive(Debug, thiserror::Error)]
pub enum SelectionError {
    #[error("{}: it has {} frames: expected at most --frames 0..{}, found --frames {start}..{}", path.display(), last + 1, last + 1, shown(*end))]
    Frames {
        path: PathBuf,
        last: usize,
        start: usize,
        end: usize,
    },
    #[error("{}: expected a channel from 0 to {last}, found --channel {channel} (channels are counted from 0)", path.display())]
    Channel {
        path: PathBuf,
        last: usize,
        channel: usize,
    },
}

fn shown(end: usize) -> String {
    match end {
        usize::MAX => String::new(),
        end => end.to_string(),
    }
}

impl Selection {
    /// What was asked for of a stack: open ranges end with it.
    ///
    /// # Errors
    /// Fails if it has no such frames or channel.
    pub fn of(
        path: &Path,
        info: &Info,
        frames: Option<&Range<usize>>,
        channel: Option<usize>,
    ) -> Result<Self, SelectionError> {
        let axes = info.axes;
        let frames = match frames {
            None => 0..axes.frames,
            Some(asked) => {
                let end = match asked.end {
                    usize::MAX => axes.frames,
                    end => end,
                };
                if asked.start >= axes.frames || end > axes.frames {
                    return Err(SelectionError::Frames {
                        path: path.to_owned(),
                        last: axes.frames.saturating_sub(1),
                        start: asked.start,
                        end: asked.end,
                    });
                }
                asked.start..end
            }
        };
        let channels = match channel {
            None => 0..axes.channels,
            Some(channel) if channel < axes.channels => channel..channel + 1,
            Some(channel) => {
                return Err(SelectionError::Channel {
                    path: path.to_owned(),
                    last: axes.channels.saturating_sub(1),
                    channel,
                });
            }
        };
        Ok(Self {
            frames,
            slices: axes.slices,
            channels,
            size: [axes.height, axes.width],
        })
    }

    /// How many frames there are, slices counted.
    pub fn count(&self) -> usize {
        self.frames.len() * self.slices
    }

    /// The frame and slice of the `index`th, as the stack counts them.
    pub fn place(&self, index: usize) -> (usize, usize) {
        let slices = self.slices.max(1);
        (self.frames.start + index / slices, index % slices)
    }

    /// The channels of the `index`th frame.
    pub(super) fn planes(
        &self,
        reader: &mut Reader,
        index: usize,
    ) -> Result<Vec<Pixels<'static>>, TaskError> {
        let (frame, slice) = self.place(index);
        let planes = self
            .channels
            .clone()
            .map(|channel| reader.plane(frame, slice, channel));
        Ok(planes.collect::<Result<_, _>>()?)
    }

    /// The axes of a result with so many channels: those of the stack.
    pub(super) fn axes(&self, stack: Axes, channels: usize, names_channels: bool) -> Axes {
        let mut axes = Axes {
            frames: self.frames.len(),
            channels,
            ..stack
        };
        axes.named.channels = names_channels;
        axes
    }
}
