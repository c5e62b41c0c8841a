// What the kernels of dense 2D convolutions share: conv.wgsl, tiled.wgsl, linear.wgsl. CPU twin: conv.rs.
//
// out[y][x][o] = epilogue(bias[o] + sum over taps i, j and inputs c of w[i][j][c][o] * prologue(in)[y * step_y + first_y
// + i][x * step_x + first_x + j][c]), zero outside of the input.
//
// GATED: two such sums are computed for each output, and multiplied (SimpleGate). SCALED: each pixel's inputs are brought
// to mean 0 and variance 1 first (layer norm; its weight and bias are in the weights). REDUCED: partial moments of the
// results go to the scratch. SPLIT_RESULT: whether the result is split (arena.wgsl).
//
// Layout: an output pixel's results may be `factor * factor` pixels of fewer channels (pixel shuffle), and pixels
// `every` apart (phases of a transposed convolution). Weights are [block][tap][input vector][lane][vector of the block],
// the vectors of a block being the VECTORS that a thread computes, then, if GATED, those that they are multiplied with.
// Biases are [block][vector of the block].

// The vectors of a block.
const WIDE = VECTORS * select(1u, 2u, GATED);

struct Kernel {
    pitch: u32,
    // The input: see source.wgsl.
    source0: u32,
    width0: u32,
    source1: u32,
    width1: u32,
    height: u32,
    width: u32,
    channels: u32,
    eps: u32,
    // Its taps.
    taps_y: u32,
    taps_x: u32,
    step_y: u32,
    step_x: u32,
    first_y: i32,
    first_x: i32,
    weights: u32,
    bias: u32,
    // What is computed: rows and columns of output pixels, vectors of outputs, blocks of them.
    rows: u32,
    columns: u32,
    outputs: u32,
    blocks: u32,
    // The result.
    result: u32,
    result_width: u32,
    result_columns: u32,
    result_channels: u32,
    every_y: u32,
    every_x: u32,
    start_y: u32,
    start_x: u32,
    factor: u32,
    // Workgroups: tiles of pixels, and groups of blocks.
    tiles: u32,
    groups: u32,
    // Partial moments: the first vector of the scratch's partials in an image, and the first of this dispatch's tiles.
    scratch_pitch: u32,
    first_tile: u32,
}

// A vector of the input, ready to be multiplied; `moments` are its pixel's.
fn fetched(inside: bool, base: u32, pixel: u32, vector: u32, moments: vec2f) -> vec4f {
    if !inside {
        return vec4f(0.0);
    }
    let v = input(base, pixel, vector);
    if SCALED {
        return (v - moments.x) * moments.y;
    }
    return v;
}

// The input row (column) that a tap reads for an output row (column). Those before the first wrap around to large numbers.
fn input_row(row: u32, tap: u32) -> u32 {
    return u32(i32(row * args.kernel.step_y + tap) + args.kernel.first_y);
}

fn input_column(column: u32, tap: u32) -> u32 {
    return u32(i32(column * args.kernel.step_x + tap) + args.kernel.first_x);
}

// Counts a vector of results, if anything is reduced.
fn counted(own: Moments, v: vec4f) -> Moments {
    if REDUCED {
        return joined(own, v);
    }
    return own;
}

// Writes a vector of results and gives it back.
fn finished(v: vec4f, base: u32, row: u32, column: u32, vector: u32) -> vec4f {
    let width = args.kernel.result_width;
    var y = row * args.kernel.every_y + args.kernel.start_y;
    var x = column * args.kernel.every_x + args.kernel.start_x;
    var own = vector;
    if SHUFFLED {
        let phase = vector / width;
        y += phase / args.kernel.factor;
        x += phase % args.kernel.factor;
        own = vector % width;
    }
    let at = At(base, y * args.kernel.result_columns + x, own);
    let result = masked(epilogue(v, at), at.vector, args.kernel.result_channels);
    set_value(SPLIT_RESULT, base + args.kernel.result, at.pixel * width + at.vector, result);
    return result;
}
