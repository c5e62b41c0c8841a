//! What is known of a stack before its pixels are read: axes, number type, sizes in the world.

use super::pixels::PixelType;

/// The axes of a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axes {
    /// T, at least 1, as all of them.
    pub frames: usize,
    /// Z
    pub slices: usize,
    /// C
    pub channels: usize,
    /// Y
    pub height: usize,
    /// X
    pub width: usize,
    /// Which of the first three the file names, be it with length 1.
    pub named: Named,
}

/// Which axes a file names. An NPY output has exactly these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Named {
    pub frames: bool,
    pub slices: bool,
    pub channels: bool,
}

impl Axes {
    /// Axes of which those longer than 1 are named.
    pub fn new(frames: usize, slices: usize, channels: usize, height: usize, width: usize) -> Self {
        Self {
            frames,
            slices,
            channels,
            height,
            width,
            named: Named {
                frames: frames > 1,
                slices: slices > 1,
                channels: channels > 1,
            },
        }
    }

    /// How many planes there are; `None` if no number holds it.
    pub fn planes(&self) -> Option<usize> {
        let [frames, slices] = [self.frames, self.slices];
        frames.checked_mul(slices)?.checked_mul(self.channels)
    }

    /// How many pixels a plane has; `None` if no number holds it.
    pub fn area(&self) -> Option<usize> {
        self.height.checked_mul(self.width)
    }

    /// The lengths of the leading axes that are named or longer than 1, T, Z, C, then height and width.
    pub fn shape(&self) -> Vec<usize> {
        let lead = [
            (self.frames, self.named.frames),
            (self.slices, self.named.slices),
            (self.channels, self.named.channels),
        ];
        let lead = lead
            .into_iter()
            .filter(|(length, named)| *named || *length > 1);
        let mut shape: Vec<usize> = lead.map(|(length, _)| length).collect();
        shape.extend([self.height, self.width]);
        shape
    }
}

/// What pixels and steps are in the world, as far as the file says.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Calibration {
    /// The height and width of a pixel, in micrometres.
    pub pixel: Option<[f64; 2]>,
    /// From slice to slice, in micrometres.
    pub spacing: Option<f64>,
    /// From frame to frame, in seconds.
    pub interval: Option<f64>,
}

/// What is known of a stack before its pixels are read.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Info {
    pub axes: Axes,
    /// The type in which planes are read or written.
    pub kind: PixelType,
    pub calibration: Calibration,
}
