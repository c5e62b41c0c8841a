// What all kernels share that compute values of a network: where values lie, and how they are read and written.
//
// Layout: the arena holds image after image, `args.kernel.pitch` vectors apart. A value is [pixel][vector], a vector
// being four neighbouring channels; channels are filled up to whole vectors with zeros. Offsets, widths and pitches
// count vectors. How vectors are read and written is in arena.wgsl.
//
// A kernel's file defines `Kernel`, whose members are the numbers that a dispatch gives it. `args.ops` has the numbers
// of the steps before and after it.

struct Args {
    kernel: Kernel,
    ops: array<vec4u, 16>,
}

// Weights, biases and other learnt numbers.
@group(0) @binding(1) var<storage, read> constants: array<vec4f>;
// Partial results of reductions, always in f32.
@group(0) @binding(2) var<storage, read_write> scratch: array<vec4f>;
@group(0) @binding(3) var<uniform> args: Args;

// A vector of a value: the first vector of its image, its pixel, and which of the pixel's vectors it is.
struct At {
    base: u32,
    pixel: u32,
    vector: u32,
}

// Which of a vector's four channels there are, of so many in all.
fn present(vector: u32, channels: u32) -> vec4<bool> {
    return 4u * vector + vec4u(0u, 1u, 2u, 3u) < vec4u(channels);
}

// Zeros in place of the channels that there are not.
fn masked(v: vec4f, vector: u32, channels: u32) -> vec4f {
    return select(vec4f(0.0), v, present(vector, channels));
}

// The mean of a pixel's channels, from the sums of their lanes.
fn mean_of(sum: vec4f, channels: u32) -> f32 {
    return dot(sum, vec4f(1.0)) / f32(channels);
}

// 1 / sqrt(variance + eps) of a pixel's channels, from their squared deviations.
fn inverse_of(squares: vec4f, channels: u32, eps: u32) -> f32 {
    return inverseSqrt(dot(squares, vec4f(1.0)) / f32(channels) + bitcast<f32>(eps));
}

// sum + the product of v with a matrix whose rows are w0 to w3.
fn multiplied(sum: vec4f, v: vec4f, w0: vec4f, w1: vec4f, w2: vec4f, w3: vec4f) -> vec4f {
    return fma(v.wwww, w3, fma(v.zzzz, w2, fma(v.yyyy, w1, fma(v.xxxx, w0, sum))));
}
