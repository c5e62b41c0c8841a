// The first half of NAFNet's block: layer norm, 1x1 convolution to twice the channels, depthwise 3x3 convolution, gate;
// and partial moments of the result, for its mean.
//
// t[y][x][o] = bias[o] + sum over c of w[c][o] * (in[y][x][c] - mean) / sqrt(variance + eps); the layer norm's weight and
// bias are in w and bias. u = depthwise of t, which is zero outside of the image; out[c] = u[c] * u[c + C].
//
// Layout: weights of the 1x1 are [result vector][input vector][lane][half], its bias [result vector][half]; weights of
// the depthwise are [tap][result vector][half], its bias [result vector][half].
// Threads: 64, for a tile of 16 x 12 pixels: t is computed for the tile and its border, four pixels a thread and one
// vector of the result at a time, and shared. z: the image.
// A line with {p} stands for one line for each pixel of a thread.
// Bindings: 0 arena, 1 constants, 2 scratch, 3 args.

const TILE_X = 16u;
const TILE_Y = 12u;
const HALO_X = 18u;
const HALO = 252u;

struct Kernel {
    pitch: u32,
    source: u32,
    vectors: u32,
    channels: u32,
    eps: u32,
    height: u32,
    width: u32,
    product_weights: u32,
    product_bias: u32,
    weights: u32,
    bias: u32,
    result: u32,
    result_vectors: u32,
    result_channels: u32,
    across: u32,
    tiles: u32,
    scratch_pitch: u32,
}

var<workgroup> first_half: array<vec4f, HALO>;
var<workgroup> second_half: array<vec4f, HALO>;

// One pixel of the tile or its border.
struct Spot {
    inside: bool,
    index: u32,
    mean: f32,
    inverse: f32,
}

fn spot(base: u32, tile_y: u32, tile_x: u32, at: u32) -> Spot {
    let k = args.kernel;
    // Rows and columns before the first wrap around to large numbers.
    let y = tile_y * TILE_Y + at / HALO_X - 1u;
    let x = tile_x * TILE_X + at % HALO_X - 1u;
    if at >= HALO || y >= k.height || x >= k.width {
        return Spot(false, 0u, 0.0, 0.0);
    }
    let first = base + k.source;
    let index = (y * k.width + x) * k.vectors;
    var sum = vec4f(0.0);
    for (var c = 0u; c < k.vectors; c++) {
        sum += value_at(SPLIT_SOURCE, first, index + c);
    }
    let mean = mean_of(sum, k.channels);
    var squares = vec4f(0.0);
    for (var c = 0u; c < k.vectors; c++) {
        let apart = value_at(SPLIT_SOURCE, first, index + c) - mean;
        squares += masked(apart * apart, c, k.channels);
    }
    return Spot(true, index, mean, inverse_of(squares, k.channels, k.eps));
}

fn share(spot: Spot, at: u32, a: vec4f, b: vec4f) {
    if at < HALO {
        first_half[at] = select(vec4f(0.0), a, spot.inside);
        second_half[at] = select(vec4f(0.0), b, spot.inside);
    }
}

// The products of the tile and its border for one vector of the result.
fn spread(
    s{p}: Spot,
    first: u32,
    vector: u32,
    local: u32,
) {
    let k = args.kernel;
    let bias = k.product_bias + 2u * vector;
    var a{p} = constants[bias];
    var b{p} = constants[bias + 1u];
    for (var c = 0u; c < k.vectors; c++) {
        let v{p} = (value_at(SPLIT_SOURCE, first, s{p}.index + c) - s{p}.mean) * s{p}.inverse;
        let at = k.product_weights + 8u * (vector * k.vectors + c);
        let p0 = constants[at];
        let p1 = constants[at + 2u];
        let p2 = constants[at + 4u];
        let p3 = constants[at + 6u];
        a{p} = multiplied(a{p}, v{p}, p0, p1, p2, p3);
        let q0 = constants[at + 1u];
        let q1 = constants[at + 3u];
        let q2 = constants[at + 5u];
        let q3 = constants[at + 7u];
        b{p} = multiplied(b{p}, v{p}, q0, q1, q2, q3);
    }
    share(s{p}, local + {p}u * SLOTS, a{p}, b{p});
}

// The result at a pixel of the tile, from what is shared.
fn gated(at: u32, vector: u32) -> vec4f {
    let k = args.kernel;
    let corner = at / TILE_X * HALO_X + at % TILE_X;
    var a = constants[k.bias + 2u * vector];
    var b = constants[k.bias + 2u * vector + 1u];
    for (var i = 0u; i < 3u; i++) {
        for (var j = 0u; j < 3u; j++) {
            let w = k.weights + 2u * ((3u * i + j) * k.result_vectors + vector);
            let origin = corner + i * HALO_X + j;
            a = fma(first_half[origin], constants[w], a);
            b = fma(second_half[origin], constants[w + 1u], b);
        }
    }
    return masked(a * b, vector, k.result_channels);
}

@compute @workgroup_size(SLOTS, ROWS)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_id) local: vec3u,
) {
    let k = args.kernel;
    let tile = flat(workgroup, grid);
    if tile >= k.tiles {
        return;
    }
    let tile_y = tile / k.across;
    let tile_x = tile % k.across;
    let base = workgroup.z * k.pitch;
    let s{p} = spot(base, tile_y, tile_x, local.x + {p}u * SLOTS);
    for (var vector = 0u; vector < k.result_vectors; vector++) {
        // What was shared for the vector before may still be read.
        workgroupBarrier();
        spread(
            s{p},
            base + k.source,
            vector,
            local.x,
        );
        workgroupBarrier();
        var own = NONE;
        for (var at = local.x; at < TILE_X * TILE_Y; at += SLOTS) {
            let y = tile_y * TILE_Y + at / TILE_X;
            let x = tile_x * TILE_X + at % TILE_X;
            if y < k.height && x < k.width {
                let v = gated(at, vector);
                set_value(SPLIT_RESULT, base + k.result, (y * k.width + x) * k.result_vectors + vector, v);
                own = joined(own, v);
            }
        }
        if REDUCED {
            let all = merge_row(own, local);
            if local.x == 0u {
                write_partial(workgroup.z * k.scratch_pitch + tile * k.result_vectors + vector, all);
            }
        }
    }
}
