// Depthwise 2D convolution: each channel on its own. CPU twin: depthwise.rs.
//
// out[y][x][c] = epilogue(bias[c] + sum over taps i, j of w[i][j][c] * prologue(in)[y * step_y + first_y + i][x * step_x
// + first_x + j][c]), zero outside of the input. GATED: the product of two such sums, for the vectors c and c + outputs.
//
// Layout: weights are [tap][vector].
// Threads: 64; each four neighbouring pixels of a row and one vector, vectors first. z: the image.
// Bindings: 0 arena, 1 constants, 3 args.

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
}

fn fetched(inside: bool, base: u32, pixel: u32, vector: u32) -> vec4f {
    if !inside {
        return vec4f(0.0);
    }
    return prologue(source(base, pixel, vector), At(base, pixel, vector));
}

struct Four {
    v0: vec4f,
    v1: vec4f,
    v2: vec4f,
    v3: vec4f,
}

// Four pixels of a vector of the input's channels.
fn convolved(base: u32, row: u32, column: u32, vector: u32) -> Four {
    let k = args.kernel;
    let vectors = k.width0 + k.width1;
    let bias = constants[k.bias + vector];
    var sums = Four(bias, bias, bias, bias);
    for (var i = 0u; i < k.taps_y; i++) {
        let y = u32(i32(row * k.step_y + i) + k.first_y);
        if y >= k.height {
            continue;
        }
        for (var j = 0u; j < k.taps_x; j++) {
            let w = constants[k.weights + (i * k.taps_x + j) * vectors + vector];
            let line = y * k.width;
            let x0 = u32(i32(column * k.step_x + j) + k.first_x);
            let x1 = x0 + k.step_x;
            let x2 = x1 + k.step_x;
            let x3 = x2 + k.step_x;
            sums.v0 = fma(fetched(x0 < k.width, base, line + x0, vector), w, sums.v0);
            sums.v1 = fma(fetched(x1 < k.width, base, line + x1, vector), w, sums.v1);
            sums.v2 = fma(fetched(x2 < k.width, base, line + x2, vector), w, sums.v2);
            sums.v3 = fma(fetched(x3 < k.width, base, line + x3, vector), w, sums.v3);
        }
    }
    return sums;
}

fn finish(v: vec4f, base: u32, row: u32, column: u32, vector: u32) {
    let k = args.kernel;
    if column < k.columns {
        let at = At(base, row * k.columns + column, vector);
        let result = masked(epilogue(v, at), vector, k.result_channels);
        store(base + k.result + at.pixel * k.outputs + vector, result);
    }
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_id) local: vec3u,
) {
    let k = args.kernel;
    let item = flat(workgroup, grid) * 64u + local.x;
    let vector = item % k.outputs;
    let group = item / k.outputs;
    let per_row = (k.columns + 3u) / 4u;
    let row = group / per_row;
    let column = group % per_row * 4u;
    if row >= k.rows {
        return;
    }
    let base = workgroup.z * k.pitch;
    var sums = convolved(base, row, column, vector);
    if GATED {
        let other = convolved(base, row, column, vector + k.outputs);
        sums.v0 *= other.v0;
        sums.v1 *= other.v1;
        sums.v2 *= other.v2;
        sums.v3 *= other.v3;
    }
    finish(sums.v0, base, row, column, vector);
    finish(sums.v1, base, row, column + 1u, vector);
    finish(sums.v2, base, row, column + 2u, vector);
    finish(sums.v3, base, row, column + 3u, vector);
}
