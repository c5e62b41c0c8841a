//! Regions of interest: the objects of a label image, each cut out as a square that a network takes.
//!
//! Source: HiTMicTools' `CellClassifier.extract_rois` and `dynamic_resize_roi`.

use std::collections::HashMap;
use std::ops::Range;

use super::Pixels;

/// An object of a label image: its label and its bounding box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roi {
    /// Not 0, which is the background.
    pub label: u32,
    /// The rows of its bounding box.
    pub rows: Range<usize>,
    /// The columns of its bounding box.
    pub columns: Range<usize>,
}

impl Roi {
    /// The objects of a label image `[height, width]`, by ascending label, found in one pass. What carries one label is
    /// one object, connected or not.
    pub fn all(labels: &[u32], width: usize) -> Vec<Self> {
        let mut found: HashMap<u32, Self> = HashMap::new();
        for (y, row) in labels.chunks_exact(width).enumerate() {
            let mut x = 0;
            for run in row.chunk_by(|a, b| a == b) {
                let (label, columns) = (run[0], x..x + run.len());
                x = columns.end;
                if label == 0 {
                    continue;
                }
                let rows = y..y + 1;
                let roi = found.entry(label).or_insert_with(|| Self {
                    label,
                    rows,
                    columns: columns.clone(),
                });
                roi.rows.end = y + 1;
                roi.columns.start = roi.columns.start.min(columns.start);
                roi.columns.end = roi.columns.end.max(columns.end);
            }
        }
        let mut all: Vec<Self> = found.into_values().collect();
        all.sort_unstable_by_key(|roi| roi.label);
        all
    }

    /// The object as a square of `side` pixels, row-major: the image's numbers where the label is, 0 elsewhere; shrunk
    /// to fit if it is larger, never enlarged; zeros around it, the smaller half above and to the left.
    ///
    /// `labels` and `image` are `[height, width]` of the image that it was found in.
    pub fn square(&self, labels: &[u32], image: &Pixels, width: usize, side: usize) -> Vec<f32> {
        let (masked, size) = (self.masked(labels, image, width), self.size());
        let longest = size[0].max(size[1]);
        let (inner, size) = if longest > side {
            // In float64, and cut off: 49 rows at a scale of 32/49 are 31.
            let scale = side as f64 / longest as f64;
            let smaller = size.map(|length| ((length as f64 * scale) as usize).max(1));
            (shrunk(&masked, size, smaller), smaller)
        } else {
            (masked, size)
        };
        let [top, left] = size.map(|length| (side - length) / 2);
        let mut square = vec![0.0; side * side];
        for (y, row) in inner.chunks_exact(size[1]).enumerate() {
            let start = (top + y) * side + left;
            square[start..start + size[1]].copy_from_slice(row);
        }
        square
    }

    /// The height and width of its bounding box.
    fn size(&self) -> [usize; 2] {
        [self.rows.len(), self.columns.len()]
    }

    /// The bounding box, zero outside the label.
    fn masked(&self, labels: &[u32], image: &Pixels, width: usize) -> Vec<f32> {
        let mut masked = Vec::with_capacity(self.rows.len() * self.columns.len());
        for y in self.rows.clone() {
            let row = y * width + self.columns.start..y * width + self.columns.end;
            let mut labels = labels[row.clone()].iter();
            image.each(row, |value| {
                let inside = labels.next() == Some(&self.label);
                masked.push(if inside { value } else { 0.0 });
            });
        }
        masked
    }
}

/// An image in fewer rows or columns, as PyTorch's `interpolate(mode="bilinear", align_corners=False)`: from the four
/// pixels around the centre of each new one, whatever lies further away. Within the rounding of float32.
fn shrunk(image: &[f32], from: [usize; 2], to: [usize; 2]) -> Vec<f32> {
    let [rows, columns] = [0, 1].map(|axis| neighbours(from[axis], to[axis]));
    let mut made = Vec::with_capacity(to[0] * to[1]);
    for row in &rows {
        let [above, below] = row.places.map(|y| &image[y * from[1]..(y + 1) * from[1]]);
        for column in &columns {
            let [left, right] = column.places;
            made.push(
                row.weights[0] * column.weights[0] * above[left]
                    + row.weights[0] * column.weights[1] * above[right]
                    + row.weights[1] * column.weights[0] * below[left]
                    + row.weights[1] * column.weights[1] * below[right],
            );
        }
    }
    made
}

/// The two rows or columns that a new one lies between, and how much each counts.
struct Neighbours {
    places: [usize; 2],
    weights: [f32; 2],
}

/// The neighbours of each of `to` pixels in a line of `from`.
fn neighbours(from: usize, to: usize) -> Vec<Neighbours> {
    let scale = from as f32 / to as f32;
    let of = |index: usize| {
        // PyTorch's kernels fuse this; unfused, the last weights are off by a thousand times float32's precision.
        let centre = scale.mul_add(index as f32 + 0.5, -0.5).max(0.0);
        let place = (centre as usize).min(from - 1);
        let weight = (centre - place as f32).clamp(0.0, 1.0);
        Neighbours {
            places: [place, (place + 1).min(from - 1)],
            weights: [1.0 - weight, weight],
        }
    };
    (0..to).map(of).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn boxes_hold_all_parts_of_a_label_and_come_in_its_order() {
        #[rustfmt::skip]
        let labels = [
            9, 9, 0, 0, u32::MAX,
            0, 0, 3, 0, 0,
            0, 9, 3, 3, 0,
        ];
        let boxes: Vec<_> = Roi::all(&labels, 5)
            .into_iter()
            .map(|roi| (roi.label, roi.rows, roi.columns))
            .collect();
        let expected = [(3, 1..3, 2..4), (9, 0..3, 0..2), (u32::MAX, 0..1, 4..5)];
        assert_eq!(boxes, expected);
        assert!(Roi::all(&[0; 6], 3).is_empty());
    }

    #[test]
    fn small_objects_lie_in_the_middle_the_smaller_half_of_the_zeros_first() {
        let labels = [5, 5, 7, 5];
        let image = Pixels::U8(vec![1, 2, 3, 4].into());
        let roi = &Roi::all(&labels, 2)[0];
        #[rustfmt::skip]
        let expected = [
            0.0, 0.0, 0.0, 0.0, 0.0,
            0.0, 1.0, 2.0, 0.0, 0.0,
            0.0, 0.0, 4.0, 0.0, 0.0,
            0.0, 0.0, 0.0, 0.0, 0.0,
            0.0, 0.0, 0.0, 0.0, 0.0,
        ];
        assert_eq!(roi.square(&labels, &image, 2, 5), expected);
    }

    #[test]
    fn long_objects_keep_a_row_or_a_column() {
        let labels = [1; 100];
        let image = Pixels::U16((0..100).collect());
        for width in [1, 100] {
            let square = Roi::all(&labels, width)[0].square(&labels, &image, width, 4);
            let filled: Vec<f32> = square.into_iter().filter(|value| *value != 0.0).collect();
            assert_eq!(filled, [12.0, 37.0, 62.0, 87.0]);
        }
    }

    proptest! {
        /// Against a search for each label on its own.
        #[test]
        fn boxes_are_the_smallest_that_hold_their_label(
            labels in prop::collection::vec(0_u32..6, 1..120),
            width in 1_usize..12,
        ) {
            let labels = &labels[..labels.len() / width * width];
            let found = Roi::all(labels, width);
            prop_assert!(found.is_sorted_by(|a, b| a.label < b.label));
            for label in 1..6 {
                let at: Vec<usize> = (0..labels.len()).filter(|i| labels[*i] == label).collect();
                let bounds = |line: &dyn Fn(usize) -> usize| {
                    let lines = at.iter().map(|index| line(*index));
                    lines.clone().min().zip(lines.max()).map(|(a, b)| a..b + 1)
                };
                let roi = found.iter().find(|roi| roi.label == label);
                prop_assert_eq!(roi.map(|roi| roi.rows.clone()), bounds(&|index| index / width));
                prop_assert_eq!(roi.map(|roi| roi.columns.clone()), bounds(&|index| index % width));
            }
        }
    }
}
