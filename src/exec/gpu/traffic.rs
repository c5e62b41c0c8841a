//! What dispatches must at least read and write: each value once for an image, learnt numbers once for a batch.

use super::memory::number_bytes;
use super::place::Place;
use super::record::LANES;
use super::shader::Precision;
use crate::exec::Frame;
use crate::nn::Shape;

/// What a dispatch must at least read and write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// What goes in and comes out; `None` around the network.
    pub(crate) shapes: Option<[Shape; 2]>,
    /// Numbers of values, in the precision that these are stored in, for each image.
    pub(crate) values: u64,
    /// Bytes of frames, in whatever they are stored, for each image.
    pub(crate) frame: u64,
    /// Bytes of learnt numbers, for all images together.
    pub(crate) learnt: u64,
}

impl Traffic {
    /// In bytes, for so many images.
    pub(super) fn bytes(&self, precision: Precision, images: u64) -> u64 {
        let image = self.values * number_bytes(precision) + self.frame;
        image * images + self.learnt
    }

    /// Of a window that is cut out of a frame.
    pub(super) fn gather(frame: &Frame, input: Place) -> Self {
        let number = frame.pixels.kind().size();
        Self::around(input, number * input.shape.elements())
    }

    /// Of so many windows' results that are added to a frame's sums.
    pub(super) fn blend(frame: &Frame, output: Place, windows: usize) -> Self {
        let [height, width] = frame.windows.frame;
        let pixels = (height * width).min(windows * output.shape.pixels());
        // Sums are read and written, those of weights among them.
        let sums = 2 * size_of::<f32>() * (output.shape.channels + 1) * pixels;
        let one = Self::around(output, sums);
        Self {
            values: one.values * windows as u64,
            ..one
        }
    }

    /// Of a frame's sums that become its result.
    pub(super) fn finish(frame: &Frame, channels: usize) -> Self {
        let [height, width] = frame.windows.frame;
        let numbers = (2 * channels + 1) * height * width;
        Self {
            frame: (size_of::<f32>() * numbers) as u64,
            ..Self::default()
        }
    }

    /// Of an image that enters or leaves the layout of a network's values.
    pub(super) fn planar(place: Place) -> Self {
        Self::around(place, size_of::<f32>() * place.shape.elements())
    }

    fn around(place: Place, frame_bytes: usize) -> Self {
        Self {
            values: (LANES * place.vectors()) as u64,
            frame: frame_bytes as u64,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_count_in_their_precision_and_learnt_numbers_once() {
        let traffic = Traffic {
            shapes: None,
            values: 10,
            frame: 3,
            learnt: 1000,
        };
        assert_eq!(traffic.bytes(Precision::Single, 2), 2 * 43 + 1000);
        assert_eq!(traffic.bytes(Precision::Half, 2), 2 * 23 + 1000);
    }

    #[test]
    fn channels_are_filled_up_to_vectors_inside() {
        let place = Place {
            offset: 0,
            shape: Shape::new(3, 2, 2),
            split: false,
        };
        let traffic = Traffic::planar(place);
        assert_eq!((traffic.values, traffic.frame), (16, 48));
        let traffic = Traffic::planar(Place {
            split: true,
            ..place
        });
        assert_eq!((traffic.values, traffic.frame), (32, 48));
    }
}
