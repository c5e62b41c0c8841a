//! What speed is measured against: what a machine can do, and what a network needs.

use std::hint::black_box;
use std::time::Instant;

use model_bundle::nn::{Graph, Op, Program};
use pulp::{Arch, Simd, WithSimd};

/// Multiply-adds of twelve vectors, over and over.
struct Peak(usize);

impl WithSimd for Peak {
    /// How many floating-point operations that were, and a number that depends on all of them.
    type Output = (f64, f32);

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> (f64, f32) {
        let mut sums = [simd.splat_f32s(black_box(0.5)); 12];
        let (factor, more) = (
            simd.splat_f32s(black_box(0.999)),
            simd.splat_f32s(black_box(0.001)),
        );
        for _ in 0..self.0 {
            for sum in &mut sums {
                *sum = simd.mul_add_f32s(*sum, factor, more);
            }
        }
        let all = sums.into_iter().reduce(|a, b| simd.add_f32s(a, b));
        let all = all.map_or(0.0, |all| simd.reduce_sum_f32s(all));
        ((self.0 * 12 * S::F32_LANES * 2) as f64, all)
    }
}

/// The most GFLOP/s that so many threads reach on registers alone; a multiply-add is two operations.
pub fn peak(threads: usize) -> f64 {
    let start = Instant::now();
    let flop: f64 = std::thread::scope(|scope| {
        let threads = (0..threads).map(|_| scope.spawn(|| Arch::new().dispatch(Peak(2_000_000))));
        let threads: Vec<_> = threads.collect();
        let done = threads
            .into_iter()
            .map(|thread| thread.join().map_or(0.0, |done| done.0));
        done.sum()
    });
    flop / start.elapsed().as_secs_f64() / 1e9
}

/// The floating-point operations of a graph: those of its convolutions, and one for each number that a function is
/// applied to.
pub fn flop(graph: &Graph) -> f64 {
    let each = graph.values().map(|(_, node)| match &node.op {
        // A transposed convolution uses its weights for each pixel of its input.
        Op::Conv(conv) if conv.transposed => {
            2 * conv.weight.len() * graph.shape(node.inputs[0]).pixels()
        }
        Op::Conv(conv) => 2 * conv.weight.len() * node.shape.pixels(),
        Op::Apply(_) => node.shape.elements(),
        _ => 0,
    });
    each.sum::<usize>() as f64
}

/// The bytes that chains of ops read and write for one image, each value once for each chain; weights once.
pub fn traffic(program: &Program) -> f64 {
    let graph = &program.graph;
    let values = program
        .chains
        .iter()
        .flat_map(|chain| chain.reads(graph).chain(chain.results()));
    let values: usize = values.map(|value| graph.shape(value).elements()).sum();
    let weights = graph.values().map(|(_, node)| match &node.op {
        Op::Conv(conv) => conv.weight.len(),
        _ => 0,
    });
    (4 * (values + weights.sum::<usize>())) as f64
}
