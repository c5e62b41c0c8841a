// The first half of NAFNet's block: layer norm, 1x1 convolution to twice the channels, depthwise 3x3 convolution, gate;
// and partial moments of the result, for its mean.
//
// t[y][x][o] = bias[o] + sum over c of w[c][o] * (in[y][x][c] - mean) / sqrt(variance + eps); the layer norm's weight and
// bias are in w and bias. u = depthwise of t, which is zero outside of the image; out[c] = u[c] * u[c + C].
//
// Layout: weights of the 1x1 are [result vector][input vector][lane][half], its bias [result vector][half]; weights of
// the depthwise are [tap][result vector][half], its bias [result vector][half].
// Threads: SLOTS, for a tile of 16 x 12 pixels: t is computed for the tile and its border, PIXELS of them a thread and one
// vector of the result at a time, and shared. z: the image.
// A line with {p} stands for one line for each pixel of a thread.
// Bindings: 0 arena, 1 constants, 2 scratch, 3 args.

const TILE_X = 16u;
const TILE_Y = 12u;
const HALO_X = 18u;
const HALO = 252u;
// Pixels below each other that a thread computes results for.
const RUN = 3u;
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
        let read = held(k.product_weights + 8u * (vector * k.vectors + c), 8u, 1u);
        let p0 = weight(read, 0u);
        let p1 = weight(read, 2u);
        let p2 = weight(read, 4u);
        let p3 = weight(read, 6u);
        a{p} = multiplied(a{p}, v{p}, p0, p1, p2, p3);
        let q0 = weight(read, 1u);
        let q1 = weight(read, 3u);
        let q2 = weight(read, 5u);
        let q3 = weight(read, 7u);
        b{p} = multiplied(b{p}, v{p}, q0, q1, q2, q3);
    }
    share(s{p}, local + {p}u * SLOTS, a{p}, b{p});
}

// The results at pixels of the tile below each other.
struct Run {
    v0: vec4f,
    v1: vec4f,
    v2: vec4f,
}

// What column j of 3x3 weights adds to the sums at three pixels, t0 to t4 being the values it slides over.
fn slid(sums: Run, t0: vec4f, t1: vec4f, t2: vec4f, t3: vec4f, t4: vec4f, read: Held, j: u32) -> Run {
    let w0 = weight(read, j);
    let w1 = weight(read, 3u + j);
    let w2 = weight(read, 6u + j);
    return Run(
        fma(t2, w2, fma(t1, w1, fma(t0, w0, sums.v0))),
        fma(t3, w2, fma(t2, w1, fma(t1, w0, sums.v1))),
        fma(t4, w2, fma(t3, w1, fma(t2, w0, sums.v2))),
    );
}

// The results at RUN pixels of the tile from row y on, of what is shared.
fn gated(y: u32, x: u32, vector: u32) -> Run {
    let k = args.kernel;
    let read_a = held(k.weights + 2u * vector, 9u, 2u * k.result_vectors);
    let read_b = held(k.weights + 2u * vector + 1u, 9u, 2u * k.result_vectors);
    let bias_a = constants[k.bias + 2u * vector];
    let bias_b = constants[k.bias + 2u * vector + 1u];
    var a = Run(bias_a, bias_a, bias_a);
    var b = Run(bias_b, bias_b, bias_b);
    for (var j = 0u; j < 3u; j++) {
        let t = y * HALO_X + x + j;
        a = slid(
            a,
            first_half[t],
            first_half[t + HALO_X],
            first_half[t + 2u * HALO_X],
            first_half[t + 3u * HALO_X],
            first_half[t + 4u * HALO_X],
            read_a,
            j,
        );
        b = slid(
            b,
            second_half[t],
            second_half[t + HALO_X],
            second_half[t + 2u * HALO_X],
            second_half[t + 3u * HALO_X],
            second_half[t + 4u * HALO_X],
            read_b,
            j,
        );
    }
    return Run(a.v0 * b.v0, a.v1 * b.v1, a.v2 * b.v2);
}

// Writes a vector of results, if it is one, and counts it.
fn written(own: Moments, v: vec4f, base: u32, y: u32, x: u32, vector: u32) -> Moments {
    let k = args.kernel;
    if y >= k.height || x >= k.width {
        return own;
    }
    let result = masked(v, vector, k.result_channels);
    set_value(SPLIT_RESULT, base + k.result, (y * k.width + x) * k.result_vectors + vector, result);
    return joined(own, result);
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
    begin_reading();
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
        for (var run = local.x; run < TILE_X * TILE_Y / RUN; run += SLOTS) {
            let row = run / TILE_X * RUN;
            let column = run % TILE_X;
            let made = gated(row, column, vector);
            let y = tile_y * TILE_Y + row;
            let x = tile_x * TILE_X + column;
            own = written(own, made.v0, base, y, x, vector);
            own = written(own, made.v1, base, y + 1u, x, vector);
            own = written(own, made.v2, base, y + 2u, x, vector);
        }
        if REDUCED {
            let all = merge_row(own, local);
            if local.x == 0u {
                write_partial(workgroup.z * k.scratch_pitch + tile * k.result_vectors + vector, all);
            }
        }
    }
}
