// Depthwise 2D convolution: each channel on its own. CPU twin: depthwise.rs.
//
// out[y][x][c] = epilogue(bias[c] + sum over taps i, j of w[i][j][c] * prologue(in)[y * step_y + first_y + i][x * step_x
// + first_x + j][c]), zero outside of the input. GATED: the product of two such sums, for the vectors c and c + outputs.
// REDUCED: partial moments of the results go to the scratch.
//
// Layout: weights are [tap][vector].
// Threads: SLOTS x ROWS, rows first, so that neighbouring threads read neighbouring vectors; a slot has PIXELS
// neighbouring pixels of each of VECTORS rows of the image, a row a vector of the result. z: the image.
// SLIDES: a tap reads what the tap before it read for the next pixel.
// A line with {p} stands for one line for each pixel of a row of a thread, {q} being the pixel after {p}; a line with {v}
// for one for each of its rows.
// Bindings: 0 arena, 1 constants, 2 scratch, 3 args.

struct Kernel {
    pitch: u32,
    source0: u32,
    width0: u32,
    source1: u32,
    width1: u32,
    height: u32,
    width: u32,
    taps_y: u32,
    taps_x: u32,
    step_y: u32,
    step_x: u32,
    first_y: i32,
    first_x: i32,
    weights: u32,
    bias: u32,
    rows: u32,
    columns: u32,
    outputs: u32,
    result: u32,
    result_channels: u32,
    tiles: u32,
    groups: u32,
    scratch_pitch: u32,
}

// What a tap of an output column reads.
fn fetched_at(inside: bool, base: u32, line: u32, column: u32, tap: u32, vector: u32) -> vec4f {
    // Columns before the first wrap around to large numbers.
    let x = u32(i32(column * args.kernel.step_x + tap) + args.kernel.first_x);
    if !inside || x >= args.kernel.width {
        return vec4f(0.0);
    }
    return input(base, line + x, vector);
}

struct Sums {
    s{p}_{v}: vec4f,
}

// A sum, with a product if it has that tap.
fn added(has: bool, v: vec4f, w: vec4f, sum: vec4f) -> vec4f {
    return select(sum, fma(v, w, sum), has);
}

// A thread's pixels of a vector of the input's channels.
fn convolved(base: u32, row: u32, column: u32, vector: u32) -> Sums {
    let k = args.kernel;
    let vectors = k.width0 + k.width1;
    var r: Sums;
    r.s{p}_{v} = constants[k.bias + vector];
    let read = held(k.weights + vector, k.taps_y * k.taps_x, vectors);
    for (var i = 0u; i < k.taps_y + VECTORS - 1u; i++) {
        let y = u32(i32(row * k.step_y + i) + k.first_y);
        let inside = y < k.height;
        if !inside && !EXCHANGES {
            continue;
        }
        let line = y * k.width;
        // Taps before the first wrap around to large numbers.
        let has{v} = i - {v}u < k.taps_y;
        let tap{v} = min(i - {v}u, k.taps_y - 1u) * k.taps_x;
        var v{p} = fetched_at(inside, base, line, column + {p}u, 0u, vector);
        for (var j = 0u; j < k.taps_x; j++) {
            if j > 0u && SLIDES {
                v{p} = v{q};
                v{last} = fetched_at(inside, base, line, column + {last}u, j, vector);
            } else if j > 0u {
                v{p} = fetched_at(inside, base, line, column + {p}u, j, vector);
            }
            let w{v} = weight(read, tap{v} + j);
            r.s{p}_{v} = added(has{v}, v{p}, w{v}, r.s{p}_{v});
        }
    }
    return r;
}

// Writes a vector of results, if it is one, and counts it.
fn written(own: Moments, v: vec4f, base: u32, row: u32, column: u32, vector: u32) -> Moments {
    let k = args.kernel;
    if row >= k.rows || column >= k.columns {
        return own;
    }
    let at = At(base, row * k.columns + column, vector);
    let result = masked(epilogue(v, at), vector, k.result_channels);
    set_value(SPLIT_RESULT, base + k.result, at.pixel * k.outputs + vector, result);
    if REDUCED {
        return joined(own, result);
    }
    return own;
}

@compute @workgroup_size(SLOTS * ROWS)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) index: u32,
) {
    let k = args.kernel;
    let number = flat(workgroup, grid);
    if number >= k.tiles * k.groups {
        return;
    }
    let tile = number / k.groups;
    let vector = number % k.groups * ROWS + index % ROWS;
    let slot = tile * SLOTS + index / ROWS;
    let per_row = (k.columns + PIXELS - 1u) / PIXELS;
    let row = slot / per_row * VECTORS;
    let column = slot % per_row * PIXELS;
    let base = workgroup.z * k.pitch;
    let works = row < k.rows && vector < k.outputs;
    begin_reading();
    var own = NONE;
    // Threads that exchange weights stay together, whether there is something to do for each of them or not.
    if works || EXCHANGES {
        var sums = convolved(base, row, column, vector);
        if GATED {
            let other = convolved(base, row, column, vector + k.outputs);
            sums.s{p}_{v} *= other.s{p}_{v};
        }
        own = written(own, sums.s{p}_{v}, base, row + {v}u, column + {p}u, vector);
    }
    if REDUCED {
        let all = merge_row(own, vec3u(index / ROWS, index % ROWS, 0u));
        if index < ROWS && vector < k.outputs {
            write_partial(workgroup.z * k.scratch_pitch + tile * k.outputs + vector, all);
        }
    }
}
