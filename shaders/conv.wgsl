// Dense 2D convolution, plain or one phase of a transposed one; 1x1 is a matrix product. CPU twin: conv.rs.
//
// out[y][x][o] = epilogue(bias[o] + sum over taps i, j and inputs c of w[i][j][c][o] * prologue(in)[y * step_y + first_y
// + i][x * step_x + first_x + j][c]), zero outside of the input.
//
// GATED: outputs come in pairs whose product is one result (SimpleGate). SCALED: each pixel's inputs are brought to mean
// 0 and variance 1 first (layer norm; its weight and bias are in the weights). REDUCED: partial moments of the results
// go to the scratch.
//
// Layout: an output pixel's results may be `factor * factor` pixels of fewer channels (pixel shuffle), and pixels
// `every` apart (phases). Weights are [pair of vectors][tap][input vector][lane][vector of the pair], or for each
// vector alone if not PAIRED.
// Threads: SLOTS x ROWS; x: eight neighbouring pixels of a row; y: a pair of vectors of outputs. z: the image.
// Bindings: 0 arena, 1 constants, 2 scratch, 3 args.

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
    // What is computed: rows and columns of output pixels, pairs (or single vectors) of outputs.
    rows: u32,
    columns: u32,
    pairs: u32,
    outputs: u32,
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
    // Workgroups: tiles of pixels, and blocks of outputs.
    tiles: u32,
    blocks: u32,
    // Partial moments: the first vector of the scratch's partials in an image, of all, and of this dispatch's tiles.
    scratch_pitch: u32,
    first_tile: u32,
}

// Mean and 1 / sqrt(variance + eps) of a pixel's channels.
fn pixel_moments(base: u32, pixel: u32) -> vec2f {
    let vectors = args.kernel.width0 + args.kernel.width1;
    var sum = vec4f(0.0);
    for (var c = 0u; c < vectors; c++) {
        sum += masked(prologue(source(base, pixel, c), At(base, pixel, c)), c, args.kernel.channels);
    }
    let count = f32(args.kernel.channels);
    let mean = dot(sum, vec4f(1.0)) / count;
    var squares = vec4f(0.0);
    for (var c = 0u; c < vectors; c++) {
        let apart = prologue(source(base, pixel, c), At(base, pixel, c)) - mean;
        squares += masked(apart * apart, c, args.kernel.channels);
    }
    return vec2f(mean, inverseSqrt(dot(squares, vec4f(1.0)) / count + bitcast<f32>(args.kernel.eps)));
}

// A vector of the input, ready to be multiplied.
fn fetched(inside: bool, base: u32, pixel: u32, vector: u32, moments: vec2f) -> vec4f {
    if !inside {
        return vec4f(0.0);
    }
    let v = prologue(source(base, pixel, vector), At(base, pixel, vector));
    if SCALED {
        return (v - moments.x) * moments.y;
    }
    return v;
}

// Writes a vector of results and gives it back.
fn finished(v: vec4f, base: u32, row: u32, column: u32, vector: u32) -> vec4f {
    let width = args.kernel.result_width;
    let phase = vector / width;
    let y = row * args.kernel.every_y + args.kernel.start_y + phase / args.kernel.factor;
    let x = column * args.kernel.every_x + args.kernel.start_x + phase % args.kernel.factor;
    let at = At(base, y * args.kernel.result_columns + x, vector % width);
    let result = masked(epilogue(v, at), at.vector, args.kernel.result_channels);
    store(base + args.kernel.result + at.pixel * width + at.vector, result);
    return result;
}

@compute @workgroup_size(SLOTS, ROWS)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_id) local: vec3u,
) {
    let k = args.kernel;
    let number = flat(workgroup, grid);
    if number >= k.tiles * k.blocks {
        return;
    }
    let tile = number / k.blocks;
    let pair = number % k.blocks * ROWS + local.y;
    let per_row = (k.columns + 7u) / 8u;
    let group = tile * SLOTS + local.x;
    let row = group / per_row;
    let column = group % per_row * 8u;
    let works = row < k.rows && pair < k.pairs;
    let base = workgroup.z * k.pitch;
    let vectors = k.width0 + k.width1;
    let first = select(pair, 2u * pair, PAIRED);

    var m0 = vec2f(0.0);
    var m1 = vec2f(0.0);
    var m2 = vec2f(0.0);
    var m3 = vec2f(0.0);
    var m4 = vec2f(0.0);
    var m5 = vec2f(0.0);
    var m6 = vec2f(0.0);
    var m7 = vec2f(0.0);
    if SCALED && works {
        // The kernel is 1x1: the image is one row.
        let last = k.columns - 1u;
        m0 = pixel_moments(base, column);
        m1 = pixel_moments(base, min(column + 1u, last));
        m2 = pixel_moments(base, min(column + 2u, last));
        m3 = pixel_moments(base, min(column + 3u, last));
        m4 = pixel_moments(base, min(column + 4u, last));
        m5 = pixel_moments(base, min(column + 5u, last));
        m6 = pixel_moments(base, min(column + 6u, last));
        m7 = pixel_moments(base, min(column + 7u, last));
    }

    var a0 = vec4f(0.0);
    if works {
        a0 = constants[k.bias + first];
    }
    var a1 = a0;
    var a2 = a0;
    var a3 = a0;
    var a4 = a0;
    var a5 = a0;
    var a6 = a0;
    var a7 = a0;
    var b0 = vec4f(0.0);
    if PAIRED && works {
        b0 = constants[k.bias + first + 1u];
    }
    var b1 = b0;
    var b2 = b0;
    var b3 = b0;
    var b4 = b0;
    var b5 = b0;
    var b6 = b0;
    var b7 = b0;

    var taps_y = k.taps_y;
    if !works {
        taps_y = 0u;
    }
    let lanes = select(4u, 8u, PAIRED);
    for (var i = 0u; i < taps_y; i++) {
        let y = u32(i32(row * k.step_y + i) + k.first_y);
        // Rows before the first wrap around to large numbers.
        if y >= k.height {
            continue;
        }
        for (var j = 0u; j < k.taps_x; j++) {
            let x0 = u32(i32(column * k.step_x + j) + k.first_x);
            let x1 = x0 + k.step_x;
            let x2 = x1 + k.step_x;
            let x3 = x2 + k.step_x;
            let x4 = x3 + k.step_x;
            let x5 = x4 + k.step_x;
            let x6 = x5 + k.step_x;
            let x7 = x6 + k.step_x;
            let line = y * k.width;
            var at = k.weights + ((pair * k.taps_y + i) * k.taps_x + j) * vectors * lanes;
            for (var c = 0u; c < vectors; c++) {
                let v0 = fetched(x0 < k.width, base, line + x0, c, m0);
                let v1 = fetched(x1 < k.width, base, line + x1, c, m1);
                let v2 = fetched(x2 < k.width, base, line + x2, c, m2);
                let v3 = fetched(x3 < k.width, base, line + x3, c, m3);
                let v4 = fetched(x4 < k.width, base, line + x4, c, m4);
                let v5 = fetched(x5 < k.width, base, line + x5, c, m5);
                let v6 = fetched(x6 < k.width, base, line + x6, c, m6);
                let v7 = fetched(x7 < k.width, base, line + x7, c, m7);
                if PAIRED {
                    let p0 = constants[at];
                    let p1 = constants[at + 2u];
                    let p2 = constants[at + 4u];
                    let p3 = constants[at + 6u];
                    a0 = multiplied(a0, v0, p0, p1, p2, p3);
                    a1 = multiplied(a1, v1, p0, p1, p2, p3);
                    a2 = multiplied(a2, v2, p0, p1, p2, p3);
                    a3 = multiplied(a3, v3, p0, p1, p2, p3);
                    a4 = multiplied(a4, v4, p0, p1, p2, p3);
                    a5 = multiplied(a5, v5, p0, p1, p2, p3);
                    a6 = multiplied(a6, v6, p0, p1, p2, p3);
                    a7 = multiplied(a7, v7, p0, p1, p2, p3);
                    let q0 = constants[at + 1u];
                    let q1 = constants[at + 3u];
                    let q2 = constants[at + 5u];
                    let q3 = constants[at + 7u];
                    b0 = multiplied(b0, v0, q0, q1, q2, q3);
                    b1 = multiplied(b1, v1, q0, q1, q2, q3);
                    b2 = multiplied(b2, v2, q0, q1, q2, q3);
                    b3 = multiplied(b3, v3, q0, q1, q2, q3);
                    b4 = multiplied(b4, v4, q0, q1, q2, q3);
                    b5 = multiplied(b5, v5, q0, q1, q2, q3);
                    b6 = multiplied(b6, v6, q0, q1, q2, q3);
                    b7 = multiplied(b7, v7, q0, q1, q2, q3);
                } else {
                    let p0 = constants[at];
                    let p1 = constants[at + 1u];
                    let p2 = constants[at + 2u];
                    let p3 = constants[at + 3u];
                    a0 = multiplied(a0, v0, p0, p1, p2, p3);
                    a1 = multiplied(a1, v1, p0, p1, p2, p3);
                    a2 = multiplied(a2, v2, p0, p1, p2, p3);
                    a3 = multiplied(a3, v3, p0, p1, p2, p3);
                    a4 = multiplied(a4, v4, p0, p1, p2, p3);
                    a5 = multiplied(a5, v5, p0, p1, p2, p3);
                    a6 = multiplied(a6, v6, p0, p1, p2, p3);
                    a7 = multiplied(a7, v7, p0, p1, p2, p3);
                }
                at += lanes;
            }
        }
    }

    if GATED {
        a0 *= b0;
        a1 *= b1;
        a2 *= b2;
        a3 *= b3;
        a4 *= b4;
        a5 *= b5;
        a6 *= b6;
        a7 *= b7;
    }
    let output = select(first, pair, GATED);
    let sum_a = eight(works, base, row, column, output, a0, a1, a2, a3, a4, a5, a6, a7);
    var sum_b = Moments(0.0, vec4f(0.0), vec4f(0.0));
    if PAIRED && !GATED {
        let there = works && output + 1u < k.outputs;
        sum_b = eight(there, base, row, column, output + 1u, b0, b1, b2, b3, b4, b5, b6, b7);
    }
    if REDUCED {
        let index = workgroup.z * k.scratch_pitch + (k.first_tile + tile) * k.outputs + output;
        let all_a = merge_row(sum_a, local);
        if local.x == 0u && pair < k.pairs {
            write_partial(index, all_a);
        }
        if PAIRED && !GATED {
            let all_b = merge_row(sum_b, local);
            if local.x == 0u && pair < k.pairs && output + 1u < k.outputs {
                write_partial(index + 1u, all_b);
            }
        }
    }
}

// Writes a thread's results of one vector of outputs, as many as there are; gives their moments.
fn eight(
    works: bool, base: u32, row: u32, column: u32, output: u32,
    s0: vec4f, s1: vec4f, s2: vec4f, s3: vec4f, s4: vec4f, s5: vec4f, s6: vec4f, s7: vec4f,
) -> Moments {
    if !works {
        return Moments(0.0, vec4f(0.0), vec4f(0.0));
    }
    let count = min(args.kernel.columns - column, 8u);
    let r0 = finished(s0, base, row, column, output);
    var r1 = vec4f(0.0);
    var r2 = vec4f(0.0);
    var r3 = vec4f(0.0);
    var r4 = vec4f(0.0);
    var r5 = vec4f(0.0);
    var r6 = vec4f(0.0);
    var r7 = vec4f(0.0);
    if count > 1u {
        r1 = finished(s1, base, row, column + 1u, output);
    }
    if count > 2u {
        r2 = finished(s2, base, row, column + 2u, output);
    }
    if count > 3u {
        r3 = finished(s3, base, row, column + 3u, output);
    }
    if count > 4u {
        r4 = finished(s4, base, row, column + 4u, output);
    }
    if count > 5u {
        r5 = finished(s5, base, row, column + 5u, output);
    }
    if count > 6u {
        r6 = finished(s6, base, row, column + 6u, output);
    }
    if count > 7u {
        r7 = finished(s7, base, row, column + 7u, output);
    }
    if !REDUCED {
        return Moments(0.0, vec4f(0.0), vec4f(0.0));
    }
    let mean = (((r0 + r1) + (r2 + r3)) + ((r4 + r5) + (r6 + r7))) / f32(count);
    var squares = (r0 - mean) * (r0 - mean);
    squares += select(vec4f(0.0), (r1 - mean) * (r1 - mean), count > 1u);
    squares += select(vec4f(0.0), (r2 - mean) * (r2 - mean), count > 2u);
    squares += select(vec4f(0.0), (r3 - mean) * (r3 - mean), count > 3u);
    squares += select(vec4f(0.0), (r4 - mean) * (r4 - mean), count > 4u);
    squares += select(vec4f(0.0), (r5 - mean) * (r5 - mean), count > 5u);
    squares += select(vec4f(0.0), (r6 - mean) * (r6 - mean), count > 6u);
    squares += select(vec4f(0.0), (r7 - mean) * (r7 - mean), count > 7u);
    return Moments(f32(count), mean, squares);
}
