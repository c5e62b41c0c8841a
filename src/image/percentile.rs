//! The percentile of an image as HiTMicTools takes it: of each column first, then of the columns' results.

use rayon::prelude::*;

use super::Pixels;

/// How many columns are gathered at a time: a cache line of float32.
const COLUMNS: usize = 16;

/// Of a plane, rows of `width`: the quantiles at both `shares` (0 to 1) over the width of the same quantiles over the
/// height. All numbers are finite.
///
/// Bit for bit what `torch.quantile` of PyTorch 2.6 gives for float32 on a CPU with fused multiply-add.
pub(super) fn percentiles(plane: &Pixels, width: usize, shares: [f64; 2]) -> [f32; 2] {
    let per_column: Vec<[f32; 2]> = match plane {
        Pixels::U8(list) => columns(list, width, shares, |v| v.into(), whole),
        Pixels::U16(list) => columns(list, width, shares, |v| v.into(), whole),
        Pixels::I16(list) => columns(list, width, shares, |v| v.into(), whole),
        Pixels::U32(list) => columns(list, width, shares, |v| rank(v as f32), float),
        Pixels::I32(list) => columns(list, width, shares, |v| rank(v as f32), float),
        Pixels::F32(list) => columns(list, width, shares, rank, float),
    };
    [0, 1].map(|which| {
        let mut keys: Vec<i32> = per_column.iter().map(|pair| rank(pair[which])).collect();
        quantiles(&mut keys, [shares[which]], float)[0]
    })
}

fn whole(key: i32) -> f32 {
    key as f32
}

/// An integer that is ordered as the float is.
fn rank(value: f32) -> i32 {
    flip(value.to_bits() as i32)
}

/// The float of a [`rank`].
fn float(key: i32) -> f32 {
    f32::from_bits(flip(key) as u32)
}

/// Negative floats are ordered against their bits: all but the sign are turned round. Its own inverse.
fn flip(bits: i32) -> i32 {
    bits ^ ((bits >> 31) & i32::MAX)
}

/// Both quantiles of each column.
fn columns<T: Copy + Sync>(
    list: &[T],
    width: usize,
    shares: [f64; 2],
    key: impl Fn(T) -> i32 + Sync,
    value: impl Fn(i32) -> f32 + Sync,
) -> Vec<[f32; 2]> {
    let height = list.len() / width;
    let mut results = vec![[0.0; 2]; width];
    let blocks = results.par_chunks_mut(COLUMNS).enumerate();
    blocks.for_each_init(
        || vec![0; COLUMNS * height],
        |gathered, (block, results)| {
            let first = block * COLUMNS;
            for (y, row) in list.chunks_exact(width).enumerate() {
                for (x, number) in row[first..first + results.len()].iter().enumerate() {
                    gathered[x * height + y] = key(*number);
                }
            }
            for (result, column) in results.iter_mut().zip(gathered.chunks_exact_mut(height)) {
                *result = quantiles(column, shares, &value);
            }
        },
    );
    results
}

/// The quantiles of a list that is not empty, at ascending shares. It is put into another order.
fn quantiles<const N: usize>(
    keys: &mut [i32],
    shares: [f64; N],
    value: impl Fn(i32) -> f32,
) -> [f32; N] {
    // What lies before `sorted` is at its place.
    let mut sorted = 0;
    shares.map(|share| {
        let last = keys.len() - 1;
        // PyTorch turns the share into float32 and multiplies there.
        let position = share as f32 * last as f32;
        let below = (position as usize).min(last);
        let weight = position - below as f32;
        let below = below.max(sorted);
        let (_, low, above) = keys[sorted..].select_nth_unstable(below - sorted);
        let low = value(*low);
        let high = match above.iter().min() {
            Some(high) if weight > 0.0 => value(*high),
            _ => low,
        };
        sorted = below;
        interpolated(low, high, weight)
    })
}

/// Between two numbers, from whichever is nearer, as PyTorch's `lerp`.
fn interpolated(low: f32, high: f32, weight: f32) -> f32 {
    let span = high - low;
    if weight < 0.5 {
        weight.mul_add(span, low)
    } else {
        (weight - 1.0).mul_add(span, high)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranks_are_ordered_as_floats_and_turn_back() {
        let list = [f32::MIN, -1.5, -1e-40, 0.0, 1e-40, 0.25, 1.0, f32::MAX];
        let ranks = list.map(rank);
        assert!(ranks.is_sorted());
        assert_eq!(ranks.map(float), list);
    }

    proptest! {
        /// Against a full sort.
        #[test]
        fn selection_finds_what_sorting_does(
            list in prop::collection::vec(-1e6_f32..1e6, 1..60),
            low in 0.0..1.0_f64,
            further in 0.0..1.0_f64,
        ) {
            let shares = [low, low + further * (1.0 - low)];
            let mut keys: Vec<i32> = list.iter().copied().map(rank).collect();
            let found = quantiles(&mut keys, shares, float);
            let mut sorted = list.clone();
            sorted.sort_by(f32::total_cmp);
            for (share, found) in shares.into_iter().zip(found) {
                let position = share as f32 * (list.len() - 1) as f32;
                let below = position.floor();
                let pair = [below as usize, position.ceil() as usize].map(|index| sorted[index]);
                prop_assert_eq!(found, interpolated(pair[0], pair[1], position - below));
            }
        }
    }
}
