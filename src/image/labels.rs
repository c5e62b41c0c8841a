//! Objects of a mask: its connected components, numbered.

/// The 8-connected components of a mask, `[height, width]`: 0 outside, and inside from 1 on in the order in which a walk
/// over the rows meets them, as `skimage.measure.label(mask, connectivity=2)` numbers them.
///
/// Two passes and a union-find, so that time is linear in the number of pixels (Wu, Otoo and Suzuki, Pattern Anal.
/// Applic. 2009). `mask` has a whole number of rows of `width` pixels, at most 2^32 - 1 in all.
pub fn connected_components(mask: &[bool], width: usize) -> Vec<u32> {
    let mut labels = vec![0u32; mask.len()];
    // The parent of each provisional label, which is never larger than the label itself.
    let mut parents = vec![0u32];
    for at in (0..mask.len()).filter(|at| mask[*at]) {
        let column = at % width;
        let neighbours = [
            (column > 0).then(|| at.checked_sub(1)),
            (column > 0).then(|| at.checked_sub(width + 1)),
            Some(at.checked_sub(width)),
            (column + 1 < width).then(|| (at + 1).checked_sub(width)),
        ];
        let mut label = 0;
        for neighbour in neighbours.into_iter().flatten().flatten() {
            let other = labels[neighbour];
            if other != 0 {
                label = if label == 0 {
                    root(&mut parents, other)
                } else {
                    join(&mut parents, label, other)
                };
            }
        }
        if label == 0 {
            label = parents.len() as u32;
            parents.push(label);
        }
        labels[at] = label;
    }
    // A root is the smallest of its labels, which the walk over the rows met first: roots are in order already.
    let mut numbers = vec![0u32; parents.len()];
    let mut count = 0;
    for label in 1..parents.len() {
        let parent = parents[label] as usize;
        numbers[label] = match parent == label {
            true => {
                count += 1;
                count
            }
            false => numbers[parent],
        };
    }
    for label in &mut labels {
        *label = numbers[*label as usize];
    }
    labels
}

/// The smallest label of the component, to which everything on the way is brought nearer.
fn root(parents: &mut [u32], mut label: u32) -> u32 {
    while parents[label as usize] != label {
        let grandparent = parents[parents[label as usize] as usize];
        parents[label as usize] = grandparent;
        label = grandparent;
    }
    label
}

/// Makes two components one; its smallest label.
fn join(parents: &mut [u32], a: u32, b: u32) -> u32 {
    let (a, b) = (root(parents, a), root(parents, b));
    let (small, large) = (a.min(b), a.max(b));
    parents[large as usize] = small;
    small
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The same by flooding from each pixel that has no number yet.
    fn flooded(mask: &[bool], width: usize) -> Vec<u32> {
        let mut labels = vec![0; mask.len()];
        let mut count = 0;
        for start in 0..mask.len() {
            if !mask[start] || labels[start] != 0 {
                continue;
            }
            count += 1;
            let mut open = vec![start];
            while let Some(at) = open.pop() {
                if !mask[at] || labels[at] != 0 {
                    continue;
                }
                labels[at] = count;
                let (row, column) = (at / width, at % width);
                for near in row.saturating_sub(1)..(row + 2).min(mask.len() / width) {
                    for beside in column.saturating_sub(1)..(column + 2).min(width) {
                        open.push(near * width + beside);
                    }
                }
            }
        }
        labels
    }

    #[test]
    fn corners_connect_and_borders_do_not() {
        let mask = "#..#  .##.  #..#  .#.#"
            .split_whitespace()
            .collect::<String>();
        let mask: Vec<bool> = mask.chars().map(|c| c == '#').collect();
        let labels = connected_components(&mask, 4);
        assert_eq!(labels, [1, 0, 0, 1, 0, 1, 1, 0, 1, 0, 0, 1, 0, 1, 0, 1]);
        assert_eq!(connected_components(&[true, false, true], 1), [1, 0, 2]);
        let wrapped = [false, false, true, true, false, false];
        assert_eq!(connected_components(&wrapped, 3), [0, 0, 1, 2, 0, 0]);
        assert_eq!(connected_components(&[], 4), [0u32; 0]);
    }

    proptest! {
        #[test]
        fn two_passes_find_what_flooding_finds(
            width in 1usize..24,
            share in 0.1f64..0.9,
            random in prop::collection::vec(0.0f64..1.0, 24 * 20),
        ) {
            let mask: Vec<bool> = random[..width * 20].iter().map(|v| *v < share).collect();
            prop_assert_eq!(connected_components(&mask, width), flooded(&mask, width));
        }
    }
}
