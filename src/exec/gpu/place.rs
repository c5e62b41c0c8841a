//! Where values lie in an image, and what a kernel reads as one value.

use super::record::LANES;
use super::shader::Constant;
use crate::nn::Shape;

/// Where a value lies in an image, in vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: u32,
    pub(super) shape: Shape,
    /// Whether each of its vectors is stored as two.
    pub(super) split: bool,
}

impl Place {
    /// The vectors of a pixel.
    pub(super) fn width(&self) -> u32 {
        width(self.shape)
    }

    /// How many vectors are stored for each of its own.
    pub(super) fn stored_as(&self) -> usize {
        stored_as(self.split)
    }

    /// How many vectors it takes.
    pub(super) fn vectors(&self) -> usize {
        self.stored_as() * vectors(self.shape)
    }
}

/// How many vectors are stored for each of a value's.
pub(super) fn stored_as(split: bool) -> usize {
    if split { 2 } else { 1 }
}

/// The vectors of a pixel.
pub(super) fn width(shape: Shape) -> u32 {
    shape.channels.div_ceil(LANES) as u32
}

/// How many vectors a value of that shape has.
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

    /// As the constants of kernels with `shaders/shared/source.wgsl` have it.
    pub(super) fn constants(&self) -> [(&'static str, Constant); 3] {
        let second = self.second.is_some_and(|place| place.split);
        [
            ("JOINED", Constant::Bool(self.second.is_some())),
            ("SPLIT0", Constant::Bool(self.first.split)),
            ("SPLIT1", Constant::Bool(second)),
        ]
    }

    pub(super) fn width(&self) -> u32 {
        self.first.width() + self.second.map_or(0, |place| place.width())
    }

    /// How many vectors it takes.
    pub(super) fn vectors(&self) -> usize {
        self.first.vectors() + self.second.map_or(0, |place| place.vectors())
    }
}
