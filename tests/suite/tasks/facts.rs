//! Scaling, windows and regions of interest, number by number.

use model_bundle::image::{Blending, Percentiles, Pixels, Roi, ScaleMethod, Scaling, Windows};
use serde::Deserialize;
use serde_json::Value;

/// Of a window: its side, then weights of its first row, its middle row and its diagonal.
type Weights = (usize, Vec<f32>, Vec<f32>, Vec<f32>);

#[derive(Deserialize)]
struct Facts {
    scaling: Vec<Scaled>,
    /// Of a side of a frame: its length, the window's side, the overlap, the windows' starts.
    windows: Vec<(usize, usize, f64, Vec<usize>)>,
    /// Of a line that is shorter than a window: its length, the window's side, which pixel stands where.
    reflections: Vec<(usize, usize, Vec<usize>)>,
    weights: Vec<Weights>,
    rois: Rois,
}

#[derive(Deserialize)]
struct Scaled {
    kind: String,
    size: [usize; 2],
    image: Vec<f32>,
    results: Vec<ScaledBy>,
}

#[derive(Deserialize)]
struct ScaledBy {
    method: String,
    args: Value,
    low: Option<f32>,
    high: Option<f32>,
    mean: Option<f32>,
    std: Option<f32>,
    first: Vec<f32>,
}

#[derive(Deserialize)]
struct Rois {
    size: [usize; 2],
    labels: Vec<u32>,
    image: Vec<u16>,
    found: Vec<u32>,
    squares: Vec<(usize, Vec<Vec<f32>>)>,
}

fn facts() -> Facts {
    serde_json::from_str(include_str!("../../fixtures/tasks/facts.json")).unwrap()
}

fn pixels(kind: &str, image: &[f32]) -> Pixels<'static> {
    match kind {
        "uint8" => Pixels::U8(image.iter().map(|v| *v as u8).collect()),
        "uint16" => Pixels::U16(image.iter().map(|v| *v as u16).collect()),
        "int16" => Pixels::I16(image.iter().map(|v| *v as i16).collect()),
        _ => Pixels::F32(image.to_vec().into()),
    }
}

fn method(result: &ScaledBy) -> ScaleMethod {
    let number = |name: &str| result.args[name].as_f64();
    let mut limits = Percentiles::default();
    if let (Some(pmin), Some(pmax)) = (number("pmin"), number("pmax")) {
        (limits.pmin, limits.pmax) = (pmin, pmax);
    }
    limits.clip = result.args["clip"].as_bool().unwrap_or(true);
    match result.method.as_str() {
        "range01" => ScaleMethod::Range01(limits),
        "zscore" => ScaleMethod::ZScore,
        "combined" => ScaleMethod::Combined(limits),
        _ => ScaleMethod::FixedRange {
            bit_depth: number("bit_depth").unwrap() as u32,
        },
    }
}

fn close(found: f32, expected: f32, tolerance: f32) -> bool {
    (found - expected).abs() <= tolerance * expected.abs().max(1.0)
}

#[test]
fn percentiles_are_torchs_bit_for_bit_and_moments_within_its_rounding() {
    let mut percentiles = 0;
    for case in facts().scaling {
        let pixels = pixels(&case.kind, &case.image);
        for result in &case.results {
            let found: Scaling = method(result).of(&pixels, case.size[1]).unwrap();
            let what = format!(
                "{} {:?} {} {}",
                case.kind, case.size, result.method, result.args
            );
            if let (Some(low), Some(high)) = (result.low, result.high) {
                let range = found.range.unwrap();
                assert_eq!((range.low, range.span), (low, high - low), "{what}");
                percentiles += 1;
            }
            assert_eq!(found.standard.is_some(), result.mean.is_some(), "{what}");
            if let (Some(mean), Some(std), Some(standard)) =
                (result.mean, result.std, found.standard)
            {
                assert!(
                    close(standard.mean, mean, 3e-7),
                    "{what}: {standard:?}, {mean}"
                );
                assert!(
                    close(standard.deviation, std, 3e-7),
                    "{what}: {standard:?}, {std}"
                );
            }
            for (value, expected) in case.image.iter().zip(&result.first) {
                let seen = found.forward(*value);
                assert!(close(seen, *expected, 2e-6), "{what}: {seen}, {expected}");
            }
        }
    }
    assert!(percentiles > 100);
}

#[test]
fn windows_start_where_monais_do() {
    for (length, side, overlap, starts) in facts().windows {
        let made = Windows::new([length, 3], side, overlap, Blending::Constant);
        assert_eq!(made.starts[0], starts, "{length} {side} {overlap}");
        let turned = Windows::new([3, length], side, overlap, Blending::Constant);
        assert_eq!(turned.starts[1], starts, "{length} {side} {overlap}");
    }
}

#[test]
fn short_lines_are_reflected_as_pytorch_does_and_beyond() {
    for (length, side, places) in facts().reflections {
        let windows = Windows::new([length, side], side, 0.0, Blending::Constant);
        assert_eq!(windows.before[0] + length + windows.after[0], side);
        let found: Vec<usize> = (0..side).map(|at| windows.source(0, at)).collect();
        assert_eq!(found, places, "{length} {side}");
        let found: Vec<usize> = (0..side).map(|at| windows.source(1, at)).collect();
        assert!(found.iter().copied().eq(0..side));
    }
}

#[test]
fn weights_are_monais_within_the_last_bits() {
    for (side, first, middle, diagonal) in facts().weights {
        let windows = Windows::new([side, side], side, 0.25, Blending::Gaussian);
        let at = |y: usize, x: usize| windows.weights[y * side + x];
        for x in 0..side {
            let pairs = [
                (at(0, x), first[x]),
                (at(side / 2, x), middle[x]),
                (at(x, x), diagonal[x]),
            ];
            for (found, expected) in pairs {
                assert!(
                    (found / expected - 1.0).abs() <= 4e-7,
                    "{side} {x}: {found} {expected}"
                );
            }
        }
    }
}

#[test]
fn objects_are_cut_out_and_shrunk_as_pytorch_does() {
    let Rois {
        size,
        labels,
        image,
        found,
        squares,
    } = facts().rois;
    let rois = Roi::all(&labels, size[1]);
    assert!(rois.iter().map(|roi| roi.label).eq(found));
    let image = Pixels::U16(image.into());
    for (side, squares) in squares {
        for (roi, square) in rois.iter().zip(&squares) {
            let made = roi.square(&labels, &image, size[1], side);
            assert_eq!(made.len(), side * side);
            for (made, expected) in made.iter().zip(square) {
                // Exact where nothing was shrunk.
                let rows = roi.rows.len().max(roi.columns.len());
                let tolerance = if rows > side { 4e-7 } else { 0.0 };
                assert!(
                    close(*made, *expected, tolerance),
                    "{roi:?}: {made} {expected}"
                );
            }
        }
    }
}
