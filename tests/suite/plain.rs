//! Graphs computed in f64 by plain loops: what every executor is compared with.
//!
//! Images are planar, `[C, H, W]` in row-major order. Nothing here is shared with the executors.

use model_bundle::nn::{Binary, Conv, Function, Graph, Op, Shape};

/// The network's result.
pub fn run(graph: &Graph, input: &[f32]) -> Vec<f64> {
    let mut values = values(graph, input);
    values.swap_remove(graph.output().index())
}

/// All values of the graph, in the order of its nodes.
pub fn values(graph: &Graph, input: &[f32]) -> Vec<Vec<f64>> {
    let input: Vec<f64> = input.iter().map(|v| f64::from(*v)).collect();
    values_of(graph, &input)
}

/// The same for an input of more digits.
pub fn values_of(graph: &Graph, input: &[f64]) -> Vec<Vec<f64>> {
    let mut values: Vec<Vec<f64>> = Vec::new();
    for node in graph.nodes() {
        let inputs: Vec<Image> = node
            .inputs
            .iter()
            .map(|id| Image(graph.shape(*id), &values[id.index()]))
            .collect();
        let value = match node.op {
            Op::Input => input.to_vec(),
            _ => compute(&node.op, &inputs, node.shape),
        };
        assert_eq!(value.len(), node.shape.elements(), "{}", node.op.name());
        values.push(value);
    }
    values
}

/// A value and its shape.
#[derive(Clone, Copy)]
struct Image<'a>(Shape, &'a [f64]);

impl Image<'_> {
    fn at(&self, c: usize, y: usize, x: usize) -> f64 {
        self.1[(c * self.0.height + y) * self.0.width + x]
    }

    /// Zero outside of the image.
    fn padded(&self, c: usize, y: isize, x: isize) -> f64 {
        let inside = |at: isize, size: usize| usize::try_from(at).ok().filter(|at| *at < size);
        match (inside(y, self.0.height), inside(x, self.0.width)) {
            (Some(y), Some(x)) => self.at(c, y, x),
            _ => 0.0,
        }
    }

    fn channel(&self, c: usize) -> &[f64] {
        let pixels = self.0.pixels();
        &self.1[c * pixels..(c + 1) * pixels]
    }
}

/// An image from what stands at each place.
fn image(shape: Shape, at: impl Fn(usize, usize, usize) -> f64) -> Vec<f64> {
    let mut out = Vec::with_capacity(shape.elements());
    for c in 0..shape.channels {
        for y in 0..shape.height {
            for x in 0..shape.width {
                out.push(at(c, y, x));
            }
        }
    }
    out
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

/// Mean, and variance without Bessel's correction.
fn moments(values: &[f64]) -> (f64, f64) {
    let centre = mean(values.iter().copied());
    let variance = mean(values.iter().map(|v| (v - centre) * (v - centre)));
    (centre, variance)
}

fn compute(op: &Op, inputs: &[Image], shape: Shape) -> Vec<f64> {
    let v = inputs[0];
    match op {
        Op::Input => unreachable!("it has no input"),
        Op::Conv(conv) if conv.transposed => transposed(conv, v, shape),
        Op::Conv(conv) => convolution(conv, v, shape),
        Op::LayerNorm { weight, bias, eps } => layer_norm(weight, bias, *eps, v),
        Op::Moments { groups, eps } => group_moments(*groups, *eps, v),
        Op::Normalise { weight, bias } => {
            normalise(weight.as_deref(), bias.as_deref(), v, inputs[1])
        }
        Op::Affine { scale, shift } => image(shape, |c, y, x| {
            v.at(c, y, x) * f64::from(scale[c]) + f64::from(shift[c])
        }),
        Op::Apply(function) => image(shape, |c, y, x| apply(function, c, v.at(c, y, x))),
        Op::Gate => image(shape, |c, y, x| {
            v.at(c, y, x) * v.at(c + shape.channels, y, x)
        }),
        Op::Mean => image(shape, |c, _, _| mean(v.channel(c).iter().copied())),
        Op::ChannelMean => image(shape, |_, y, x| {
            mean((0..v.0.channels).map(|c| v.at(c, y, x)))
        }),
        Op::Binary(binary) => binary_op(*binary, v, inputs[1]),
        Op::Concat => inputs.iter().flat_map(|input| input.1).copied().collect(),
        Op::Channels { start, .. } => image(shape, |c, y, x| v.at(start + c, y, x)),
        Op::PixelShuffle { factor } => pixel_shuffle(*factor, v, shape),
        Op::Pad { .. } => image(shape, |c, y, x| v.padded(c, y as isize, x as isize)),
        Op::Crop { .. } => image(shape, |c, y, x| v.at(c, y, x)),
        Op::Softmax => softmax(v),
    }
}

fn convolution(conv: &Conv, v: Image, shape: Shape) -> Vec<f64> {
    let [rows, columns] = conv.kernel;
    let inputs = v.0.channels / conv.groups;
    let outputs = conv.outputs / conv.groups;
    image(shape, |o, y, x| {
        let first = o / outputs * inputs;
        let mut sum = conv.bias.as_ref().map_or(0.0, |bias| f64::from(bias[o]));
        for i in 0..rows {
            for j in 0..columns {
                let row = (y * conv.stride[0] + i) as isize - conv.padding[0][0];
                let column = (x * conv.stride[1] + j) as isize - conv.padding[1][0];
                for c in 0..inputs {
                    let weight = conv.weight[((i * columns + j) * inputs + c) * conv.outputs + o];
                    sum += f64::from(weight) * v.padded(first + c, row, column);
                }
            }
        }
        sum
    })
}

fn transposed(conv: &Conv, v: Image, shape: Shape) -> Vec<f64> {
    let [rows, columns] = conv.kernel;
    let bias = |o: usize| conv.bias.as_ref().map_or(0.0, |bias| f64::from(bias[o]));
    let mut out = image(shape, |o, _, _| bias(o));
    for c in 0..v.0.channels {
        for y in 0..v.0.height {
            for x in 0..v.0.width {
                for i in 0..rows {
                    for j in 0..columns {
                        let row = (y * conv.stride[0] + i) as isize - conv.padding[0][0];
                        let column = (x * conv.stride[1] + j) as isize - conv.padding[1][0];
                        let inside = (0..shape.height as isize).contains(&row)
                            && (0..shape.width as isize).contains(&column);
                        if !inside {
                            continue;
                        }
                        let at = row as usize * shape.width + column as usize;
                        for o in 0..conv.outputs {
                            let weight = ((i * columns + j) * v.0.channels + c) * conv.outputs + o;
                            out[o * shape.pixels() + at] +=
                                f64::from(conv.weight[weight]) * v.at(c, y, x);
                        }
                    }
                }
            }
        }
    }
    out
}

fn layer_norm(weight: &[f32], bias: &[f32], eps: f32, v: Image) -> Vec<f64> {
    let pixel =
        |y: usize, x: usize| -> Vec<f64> { (0..v.0.channels).map(|c| v.at(c, y, x)).collect() };
    image(v.0, |c, y, x| {
        let (mean, variance) = moments(&pixel(y, x));
        let scaled = (v.at(c, y, x) - mean) / (variance + f64::from(eps)).sqrt();
        scaled * f64::from(weight[c]) + f64::from(bias[c])
    })
}

fn group_moments(groups: usize, eps: f32, v: Image) -> Vec<f64> {
    let size = v.1.len() / groups;
    let found: Vec<(f64, f64)> = v.1.chunks(size).map(moments).collect();
    let means = found.iter().map(|(mean, _)| *mean);
    let inverse = |variance: f64| 1.0 / (variance + f64::from(eps)).sqrt();
    let inverses = found.iter().map(|(_, variance)| inverse(*variance));
    means.chain(inverses).collect()
}

fn normalise(weight: Option<&[f32]>, bias: Option<&[f32]>, v: Image, moments: Image) -> Vec<f64> {
    let groups = moments.0.channels / 2;
    let size = v.0.channels / groups;
    image(v.0, |c, y, x| {
        let group = c / size;
        let scaled = (v.at(c, y, x) - moments.1[group]) * moments.1[groups + group];
        let weight = weight.map_or(1.0, |weight| f64::from(weight[c]));
        scaled * weight + bias.map_or(0.0, |bias| f64::from(bias[c]))
    })
}

fn binary_op(binary: Binary, a: Image, b: Image) -> Vec<f64> {
    image(a.0, |c, y, x| {
        let second = if b.0 == a.0 {
            b.at(c, y, x)
        } else if b.0 == Shape::vector(a.0.channels) {
            b.1[c]
        } else {
            b.at(0, y, x)
        };
        let first = a.at(c, y, x);
        match binary {
            Binary::Add => first + second,
            Binary::Subtract => first - second,
            Binary::Multiply => first * second,
            Binary::Divide => first / second,
        }
    })
}

fn pixel_shuffle(factor: usize, v: Image, shape: Shape) -> Vec<f64> {
    image(shape, |c, y, x| {
        let (i, j) = (y % factor, x % factor);
        v.at((c * factor + i) * factor + j, y / factor, x / factor)
    })
}

fn softmax(v: Image) -> Vec<f64> {
    image(v.0, |c, y, x| {
        let all = (0..v.0.channels).map(|other| v.at(other, y, x));
        let most = all.clone().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = all.map(|other| (other - most).exp()).sum();
        (v.at(c, y, x) - most).exp() / sum
    })
}

fn apply(function: &Function, c: usize, v: f64) -> f64 {
    let sigmoid = |v: f64| 1.0 / (1.0 + (-v).exp());
    let softplus = |v: f64| v.max(0.0) + (-v.abs()).exp().ln_1p();
    let leaky = |slope: f32| if v < 0.0 { v * f64::from(slope) } else { v };
    match function {
        Function::Relu => v.max(0.0),
        Function::LeakyRelu { slope } => leaky(*slope),
        Function::Prelu { slopes } => leaky(slopes[if slopes.len() == 1 { 0 } else { c }]),
        Function::Elu { alpha } if v < 0.0 => f64::from(*alpha) * v.exp_m1(),
        Function::Elu { .. } => v,
        Function::Gelu => v * (1.0 + erf(v / 2.0_f64.sqrt())) / 2.0,
        Function::GeluTanh => {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (v + 0.044715 * v.powi(3));
            v * (1.0 + inner.tanh()) / 2.0
        }
        Function::Swish { alpha } => v * sigmoid(f64::from(*alpha) * v),
        Function::Mish => v * softplus(v).tanh(),
        Function::Tanh => v.tanh(),
        Function::Sigmoid => sigmoid(v),
        Function::Softplus => softplus(v),
        Function::Erf => erf(v),
        Function::Exp => v.exp(),
        Function::Sqrt => v.sqrt(),
        Function::Square => v * v,
        Function::Reciprocal => 1.0 / v,
    }
}

/// The error function, to f64's last digits: its Taylor series near zero, and the continued fraction of `1 - erf`
/// (Abramowitz and Stegun 7.1.6 and 7.1.14) further out.
fn erf(v: f64) -> f64 {
    let size = v.abs();
    let near = size < 3.0;
    if near {
        // 2 / sqrt(pi) * exp(-v^2) * sum of 2^n v^(2n+1) / (1 * 3 * ... * (2n+1)): no term is negative.
        let (mut term, mut sum) = (size, size);
        for n in 1..200 {
            term *= 2.0 * size * size / f64::from(2 * n + 1);
            sum += term;
        }
        return (std::f64::consts::FRAC_2_SQRT_PI * (-size * size).exp() * sum).copysign(v);
    }
    let mut fraction = size;
    for n in (1..200).rev() {
        fraction = size + f64::from(n) / 2.0 / fraction;
    }
    let rest = (-size * size).exp() / (std::f64::consts::PI.sqrt() * fraction);
    (1.0 - rest).copysign(v)
}

mod tests {
    use std::sync::Arc;

    use super::*;
    use model_bundle::nn::GraphBuilder;

    /// One op on an image.
    fn one(op: Op, shape: [usize; 3], input: &[f32]) -> Vec<f64> {
        let [channels, height, width] = shape;
        let (mut builder, value) =
            GraphBuilder::new(Shape::new(channels, height, width)).expect("a shape");
        let value = builder.push(op, &[value]).expect("an op that fits");
        run(&builder.finish(value), input)
    }

    /// Two channels of an image of two, combined.
    fn two(binary: Binary, first: [f32; 2], second: f32) -> Vec<f64> {
        let (mut builder, input) = GraphBuilder::new(Shape::new(3, 1, 1)).expect("a shape");
        let mut channels = |start, channels| {
            let op = Op::Channels { start, channels };
            builder.push(op, &[input]).expect("channels")
        };
        let (a, b) = (channels(0, 2), channels(2, 1));
        let value = builder
            .push(Op::Binary(binary), &[a, b])
            .expect("an image and a plane");
        run(&builder.finish(value), &[first[0], first[1], second])
    }

    fn conv(weight: &[f32], outputs: usize, kernel: [usize; 2]) -> Conv {
        Conv {
            outputs,
            kernel,
            stride: [1, 1],
            padding: [[0, 0], [0, 0]],
            groups: 1,
            transposed: false,
            weight: weight.into(),
            bias: None,
        }
    }

    fn close(found: &[f64], wanted: &[f64]) {
        assert_eq!(found.len(), wanted.len(), "{found:?}");
        for (found, wanted) in found.iter().zip(wanted) {
            assert!((found - wanted).abs() < 1e-6, "{found} is not {wanted}");
        }
    }

    #[test]
    fn convolutions_are_sums_of_products() {
        let image = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let mut padded = conv(&[1.0, 10.0, 100.0], 1, [1, 3]);
        padded.padding = [[0, 0], [1, 0]];
        padded.bias = Some(Arc::new([0.5]));
        // Each row behind a zero, seen through windows of three.
        close(
            &one(Op::Conv(padded.clone()), [1, 2, 3], &image),
            &[210.5, 321.5, 540.5, 654.5],
        );
        padded.stride = [2, 2];
        padded.padding = [[0, 0], [1, 1]];
        close(&one(Op::Conv(padded), [1, 2, 3], &image), &[210.5, 32.5]);
        // Two inputs, three outputs: weights are [input, output].
        let mixing = conv(&[1.0, 2.0, 3.0, 10.0, 20.0, 30.0], 3, [1, 1]);
        close(
            &one(Op::Conv(mixing), [2, 1, 1], &[1.0, 2.0]),
            &[21.0, 42.0, 63.0],
        );
        let mut apart = conv(&[2.0, 3.0], 2, [1, 1]);
        apart.groups = 2;
        close(&one(Op::Conv(apart), [2, 1, 1], &[1.0, 2.0]), &[2.0, 6.0]);
    }

    #[test]
    fn transposed_convolutions_spread_each_pixel() {
        let mut spread = conv(&[1.0, 10.0, 100.0], 1, [1, 3]);
        (spread.transposed, spread.stride) = (true, [1, 2]);
        let whole = [1.0, 10.0, 102.0, 20.0, 200.0];
        close(
            &one(Op::Conv(spread.clone()), [1, 1, 2], &[1.0, 2.0]),
            &whole,
        );
        spread.padding = [[0, 0], [1, -1]];
        close(
            &one(Op::Conv(spread), [1, 1, 2], &[1.0, 2.0]),
            &[10.0, 102.0, 20.0, 200.0, 0.0],
        );
    }

    #[test]
    fn norms_use_the_plain_variance() {
        let image = [1.0, 3.0, 2.0, 6.0];
        let op = Op::Moments {
            groups: 2,
            eps: 0.0,
        };
        close(&one(op, [2, 1, 2], &image), &[2.0, 4.0, 1.0, 0.5]);
        let op = Op::Moments {
            groups: 1,
            eps: 0.5,
        };
        close(&one(op, [2, 1, 2], &image), &[3.0, 0.5]);
        let op = Op::LayerNorm {
            weight: Arc::new([1.0, 2.0]),
            bias: Arc::new([0.0, 1.0]),
            eps: 0.0,
        };
        close(&one(op, [2, 1, 2], &image), &[-1.0, -1.0, 3.0, 3.0]);
        let (mut builder, input) = GraphBuilder::new(Shape::new(2, 1, 2)).expect("a shape");
        let moments = Op::Moments {
            groups: 2,
            eps: 0.0,
        };
        let moments = builder.push(moments, &[input]).expect("moments");
        let op = Op::Normalise {
            weight: Some(Arc::new([1.0, 2.0])),
            bias: Some(Arc::new([0.0, 5.0])),
        };
        let value = builder.push(op, &[input, moments]).expect("a norm");
        close(&run(&builder.finish(value), &image), &[-1.0, 1.0, 3.0, 7.0]);
        let op = Op::Affine {
            scale: Arc::new([2.0, 3.0]),
            shift: Arc::new([0.0, 1.0]),
        };
        close(&one(op, [2, 1, 2], &image), &[2.0, 6.0, 7.0, 19.0]);
    }

    #[test]
    fn channels_and_pixels_are_moved_about() {
        let image = [1.0, 2.0, 3.0, 4.0];
        close(&one(Op::Gate, [4, 1, 1], &image), &[3.0, 8.0]);
        close(&one(Op::Mean, [2, 1, 2], &image), &[1.5, 3.5]);
        close(&one(Op::ChannelMean, [2, 1, 2], &image), &[2.0, 3.0]);
        let op = Op::PixelShuffle { factor: 2 };
        let wanted = [1.0, 3.0, 2.0, 4.0, 5.0, 7.0, 6.0, 8.0];
        let mixed = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
        // Channels 1 2, 3 4 make the upper row; 5 6, 7 8 the lower one.
        let shuffled = one(op, [4, 1, 2], &mixed);
        close(&shuffled, &wanted);
        let op = Op::Pad {
            bottom: 1,
            right: 1,
        };
        close(
            &one(op, [1, 1, 2], &[1.0, 2.0]),
            &[1.0, 2.0, 0.0, 0.0, 0.0, 0.0],
        );
        let op = Op::Crop {
            height: 2,
            width: 1,
        };
        close(&one(op, [1, 2, 2], &image), &[1.0, 3.0]);
        let e = std::f64::consts::E;
        close(
            &one(Op::Softmax, [2, 1, 1], &[1001.0, 1000.0]),
            &[e / (e + 1.0), 1.0 / (e + 1.0)],
        );
        let (mut builder, input) = GraphBuilder::new(Shape::new(2, 1, 1)).expect("a shape");
        let both = builder.push(Op::Concat, &[input, input]).expect("both");
        close(
            &run(&builder.finish(both), &[1.0, 2.0]),
            &[1.0, 2.0, 1.0, 2.0],
        );
    }

    #[test]
    fn two_images_are_combined() {
        close(&two(Binary::Add, [6.0, 9.0], 3.0), &[9.0, 12.0]);
        close(&two(Binary::Subtract, [6.0, 9.0], 3.0), &[3.0, 6.0]);
        close(&two(Binary::Multiply, [6.0, 9.0], 3.0), &[18.0, 27.0]);
        close(&two(Binary::Divide, [6.0, 9.0], 3.0), &[2.0, 3.0]);
        let (mut builder, input) = GraphBuilder::new(Shape::new(2, 1, 2)).expect("a shape");
        let mean = builder.push(Op::Mean, &[input]).expect("means");
        let op = Op::Binary(Binary::Subtract);
        let value = builder.push(op, &[input, mean]).expect("a vector");
        close(
            &run(&builder.finish(value), &[1.0, 3.0, 5.0, 9.0]),
            &[-1.0, 1.0, -2.0, 2.0],
        );
    }

    /// At -1 and 2; of tables, or of PyTorch.
    #[test]
    fn functions_are_those_of_the_tables() {
        let slopes = |slopes: &[f32]| Function::Prelu {
            slopes: slopes.into(),
        };
        let table: [(Function, [f64; 2]); 17] = [
            (Function::Relu, [0.0, 2.0]),
            (Function::LeakyRelu { slope: 0.5 }, [-0.5, 2.0]),
            (slopes(&[0.25]), [-0.25, 2.0]),
            (slopes(&[0.5, 0.25]), [-0.5, 2.0]),
            (Function::Elu { alpha: 2.0 }, [-1.2642411, 2.0]),
            (Function::Gelu, [-0.1586553, 1.9544997]),
            (Function::GeluTanh, [-0.1588080, 1.9545977]),
            (Function::Swish { alpha: 1.0 }, [-0.2689414, 1.7615942]),
            (Function::Swish { alpha: 2.0 }, [-0.1192029, 1.9640276]),
            (Function::Mish, [-0.3034015, 1.9439590]),
            (Function::Tanh, [-0.7615942, 0.9640276]),
            (Function::Sigmoid, [0.2689414, 0.8807971]),
            (Function::Softplus, [0.3132617, 2.1269280]),
            (Function::Erf, [-0.8427008, 0.9953223]),
            (Function::Exp, [0.3678794, 7.3890561]),
            (Function::Square, [1.0, 4.0]),
            (Function::Reciprocal, [-1.0, 0.5]),
        ];
        for (function, wanted) in table {
            close(&one(Op::Apply(function), [2, 1, 1], &[-1.0, 2.0]), &wanted);
        }
        close(
            &one(Op::Apply(Function::Sqrt), [2, 1, 1], &[9.0, 2.25]),
            &[3.0, 1.5],
        );
        // Where the two formulas of erf meet.
        assert!((erf(3.0 - 1e-12) - erf(3.0)).abs() < 1e-15);
        assert!((erf(3.0) - 0.999_977_909_503_001_4).abs() < 1e-15);
        assert!((erf(0.5) - 0.520_499_877_813_046_5).abs() < 1e-15);
    }
}
