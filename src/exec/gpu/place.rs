//! Where values lie in an image, and what a kernel reads as one value.

use super::record::LANES;
use crate::nn::Shape;

/// Where a value lies in an image, in vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: u32,
    pub(super) shape: Shape,
}

impl Place {
    /// The vectors of a pixel.
    pub(super) fn width(&self) -> u32 {
        width(self.shape)
    }
}

/// The vectors of a pixel.
pub(super) fn width(shape: Shape) -> u32 {
    shape.channels.div_ceil(LANES) as u32
}

/// How many vectors a value takes.
pub(super) fn vectors(shape: Shape) -> usize {
    shape.channels.div_ceil(LANES) * shape.pixels()
}

/// One value, or two whose channels follow each other; the first then fills whole vectors.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    pub(super) shape: Shape,
    pub(super) first: Place,
    pub(super) second: Option<Place>,
}

impl Source {
    pub(super) fn one(place: Place) -> Self {
        Self {
            shape: place.shape,
            first: place,
            second: None,
        }
    }

    /// As `shaders/shared/source.wgsl` has it.
    pub(super) fn numbers(&self) -> [(&'static str, u32); 4] {
        let second = self.second.map_or([0, 0], |p| [p.offset, p.width()]);
        [
            ("source0", self.first.offset),
            ("width0", self.first.width()),
            ("source1", second[0]),
            ("width1", second[1]),
        ]
    }

    pub(super) fn width(&self) -> u32 {
        self.first.width() + self.second.map_or(0, |place| place.width())
    }

    /// How many vectors it takes.
    pub(super) fn vectors(&self) -> usize {
        self.width() as usize * self.shape.pixels()
    }
}
