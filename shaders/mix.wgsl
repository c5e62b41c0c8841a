// The second half of NAFNet's block: channel attention, 1x1 convolution, residual, layer norm, 1x1 convolution to pairs,
// gate, 1x1 convolution, residual.
//
// y = bias1 + w1 (in * scale) + skip; z = bias2 + w2 (y - mean) / sqrt(variance + eps), the layer norm's weight and bias
// being in w2 and bias2; out = bias3 + w3 (z[c] * z[c + C]) + y. SCALES: whether there is a scale, one for each channel.
//
// Layout: weights of w1 and w3 are [pair of vectors][input vector][lane][vector of the pair], those of w2 [result
// vector][input vector][lane][half].
// Threads: SLOTS x ROWS, for a tile of PIXELS * SLOTS pixels: x: PIXELS pixels; y: pairs. Two values of the tile are shared,
// [vector][pixel]: ROOM vectors of what is multiplied, then those of y. z: the image.
// A line with {p} stands for one line for each pixel of a thread.
// Bindings: 0 arena, 1 constants, 3 args.

const TILE = PIXELS * SLOTS;

struct Kernel {
    pitch: u32,
    pixels: u32,
    tiles: u32,
    source: u32,
    vectors: u32,
    scale: u32,
    skip: u32,
    result: u32,
    result_vectors: u32,
    result_channels: u32,
    inner_vectors: u32,
    eps: u32,
    weights1: u32,
    bias1: u32,
    weights2: u32,
    bias2: u32,
    weights3: u32,
    bias3: u32,
}

var<workgroup> tile: array<vec4f, SHARED * TILE>;

struct Products {
    a{p}: vec4f,
    b{p}: vec4f,
}

// The moments of a thread's pixels.
struct Pixels {
    m{p}: vec2f,
}

fn normalised(v: vec4f, m: vec2f) -> vec4f {
    return (v - m.x) * m.y;
}

// A pair of vectors for a thread's pixels, from the shared vectors `first .. first + vectors`, scaled by the pixels' moments.
fn products(first: u32, vectors: u32, pixel: u32, weights: u32, bias: u32, moments: Pixels) -> Products {
    var r: Products;
    r.a{p} = constants[bias];
    r.b{p} = constants[bias + 1u];
    for (var c = 0u; c < vectors; c++) {
        let origin = (first + c) * TILE + pixel;
        let v{p} = normalised(tile[origin + {p}u], moments.m{p});
        let read = held(weights + 8u * c, 8u, 1u);
        let p0 = weight(read, 0u);
        let p1 = weight(read, 2u);
        let p2 = weight(read, 4u);
        let p3 = weight(read, 6u);
        r.a{p} = multiplied(r.a{p}, v{p}, p0, p1, p2, p3);
        let q0 = weight(read, 1u);
        let q1 = weight(read, 3u);
        let q2 = weight(read, 5u);
        let q3 = weight(read, 7u);
        r.b{p} = multiplied(r.b{p}, v{p}, q0, q1, q2, q3);
    }
    return r;
}

// What is added to a product to make y: nothing beyond the image.
fn skip(base: u32, pixel: u32, vector: u32) -> vec4f {
    if pixel >= args.kernel.pixels {
        return vec4f(0.0);
    }
    return value_at(SPLIT_SKIP, base + args.kernel.skip, pixel * args.kernel.result_vectors + vector);
}

// Keeps a vector of y of a pixel of the tile.
fn keep_y(base: u32, start: u32, local: u32, vector: u32, v: vec4f) {
    tile[(ROOM + vector) * TILE + local] = v + skip(base, start + local, vector);
}

// Writes a vector of the result, from what is added to y.
fn put(base: u32, start: u32, local: u32, vector: u32, v: vec4f) {
    let k = args.kernel;
    let pixel = start + local;
    if pixel < k.pixels {
        let sum = v + tile[(ROOM + vector) * TILE + local];
        set_value(SPLIT_RESULT, base + k.result, pixel * k.result_vectors + vector, masked(sum, vector, k.result_channels));
    }
}

// The pixels' inputs, scaled, [vector][pixel].
fn load_tile(base: u32, start: u32, local: vec3u) {
    let k = args.kernel;
    for (var item = local.y * SLOTS + local.x; item < TILE * k.vectors; item += SLOTS * ROWS) {
        let pixel = item / k.vectors;
        let vector = item % k.vectors;
        var v = vec4f(0.0);
        if start + pixel < k.pixels {
            v = value_at(SPLIT_SOURCE, base + k.source, (start + pixel) * k.vectors + vector);
            if SCALES {
                v *= value_at(HALF, base + k.scale, vector);
            }
        }
        tile[vector * TILE + pixel] = v;
    }
}

// Mean and 1 / sqrt(variance + eps) of each pixel of y, in place of what was multiplied to make it.
fn find_moments(local: vec3u) {
    let k = args.kernel;
    for (var pixel = local.y * SLOTS + local.x; pixel < TILE; pixel += SLOTS * ROWS) {
        var sum = vec4f(0.0);
        for (var c = 0u; c < k.result_vectors; c++) {
            sum += masked(tile[(ROOM + c) * TILE + pixel], c, k.result_channels);
        }
        let mean = mean_of(sum, k.result_channels);
        var squares = vec4f(0.0);
        for (var c = 0u; c < k.result_vectors; c++) {
            let apart = tile[(ROOM + c) * TILE + pixel] - mean;
            squares += masked(apart * apart, c, k.result_channels);
        }
        tile[pixel] = vec4f(mean, inverse_of(squares, k.result_channels, k.eps), 0.0, 0.0);
    }
}

@compute @workgroup_size(SLOTS, ROWS)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_id) local: vec3u,
) {
    let k = args.kernel;
    let number = flat(workgroup, grid);
    if number >= k.tiles {
        return;
    }
    begin_reading();
    let base = workgroup.z * k.pitch;
    let start = number * TILE;
    let pixel = PIXELS * local.x;
    let pairs = (k.result_vectors + 1u) / 2u;
    var pixels: Pixels;
    pixels.m{p} = vec2f(0.0, 1.0);
    load_tile(base, start, local);
    workgroupBarrier();
    for (var pair = local.y; pair < pairs; pair += ROWS) {
        let weights = k.weights1 + 8u * pair * k.vectors;
        let r = products(0u, k.vectors, pixel, weights, k.bias1 + 2u * pair, pixels);
        keep_y(base, start, pixel + {p}u, 2u * pair, r.a{p});
        if 2u * pair + 1u < k.result_vectors {
            keep_y(base, start, pixel + {p}u, 2u * pair + 1u, r.b{p});
        }
    }
    workgroupBarrier();
    find_moments(local);
    workgroupBarrier();
    pixels.m{p} = tile[pixel + {p}u].xy;
    workgroupBarrier();
    for (var vector = local.y; vector < k.inner_vectors; vector += ROWS) {
        let weights = k.weights2 + 8u * vector * k.result_vectors;
        let r = products(ROOM, k.result_vectors, pixel, weights, k.bias2 + 2u * vector, pixels);
        tile[vector * TILE + pixel + {p}u] = r.a{p} * r.b{p};
    }
    workgroupBarrier();
    pixels.m{p} = vec2f(0.0, 1.0);
    for (var pair = local.y; pair < pairs; pair += ROWS) {
        let weights = k.weights3 + 8u * pair * k.inner_vectors;
        let r = products(0u, k.inner_vectors, pixel, weights, k.bias3 + 2u * pair, pixels);
        put(base, start, pixel + {p}u, 2u * pair, r.a{p});
        if 2u * pair + 1u < k.result_vectors {
            put(base, start, pixel + {p}u, 2u * pair + 1u, r.b{p});
        }
    }
}
