// The second half of NAFNet's block: channel attention, 1x1 convolution, residual, layer norm, 1x1 convolution to pairs,
// gate, 1x1 convolution, residual.
//
// y = bias1 + w1 (in * scale) + skip; z = bias2 + w2 (y - mean) / sqrt(variance + eps), the layer norm's weight and bias
// being in w2 and bias2; out = bias3 + w3 (z[c] * z[c + C]) + y. SCALES: whether there is a scale, one for each channel.
//
// Layout: weights of w1 and w3 are [pair of vectors][input vector][lane][vector of the pair], those of w2 [result
// vector][input vector][lane][half].
// Threads: SLOTS x ROWS, for PIXELS = 4 * SLOTS pixels: x: four pixels; y: pairs. Two values of the tile are shared,
// [vector][pixel]: ROOM vectors of what is multiplied, then those of y. z: the image.
// Bindings: 0 arena, 1 constants, 3 args.

const PIXELS = 4u * SLOTS;

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

var<workgroup> tile: array<vec4f, VECTORS * PIXELS>;
var<workgroup> moments: array<vec2f, PIXELS>;

struct Products {
    a0: vec4f,
    a1: vec4f,
    a2: vec4f,
    a3: vec4f,
    b0: vec4f,
    b1: vec4f,
    b2: vec4f,
    b3: vec4f,
}

fn normalised(v: vec4f, m: vec2f) -> vec4f {
    return (v - m.x) * m.y;
}

// A pair of vectors for four pixels, from the shared vectors `first .. first + vectors`, scaled by the pixels' moments.
fn products(
    first: u32, vectors: u32, pixel: u32, weights: u32, bias: u32, m0: vec2f, m1: vec2f, m2: vec2f, m3: vec2f,
) -> Products {
    let a = constants[bias];
    let b = constants[bias + 1u];
    var p = Products(a, a, a, a, b, b, b, b);
    for (var c = 0u; c < vectors; c++) {
        let origin = (first + c) * PIXELS + pixel;
        let v0 = normalised(tile[origin], m0);
        let v1 = normalised(tile[origin + 1u], m1);
        let v2 = normalised(tile[origin + 2u], m2);
        let v3 = normalised(tile[origin + 3u], m3);
        let at = weights + 8u * c;
        let p0 = constants[at];
        let p1 = constants[at + 2u];
        let p2 = constants[at + 4u];
        let p3 = constants[at + 6u];
        p.a0 = multiplied(p.a0, v0, p0, p1, p2, p3);
        p.a1 = multiplied(p.a1, v1, p0, p1, p2, p3);
        p.a2 = multiplied(p.a2, v2, p0, p1, p2, p3);
        p.a3 = multiplied(p.a3, v3, p0, p1, p2, p3);
        let q0 = constants[at + 1u];
        let q1 = constants[at + 3u];
        let q2 = constants[at + 5u];
        let q3 = constants[at + 7u];
        p.b0 = multiplied(p.b0, v0, q0, q1, q2, q3);
        p.b1 = multiplied(p.b1, v1, q0, q1, q2, q3);
        p.b2 = multiplied(p.b2, v2, q0, q1, q2, q3);
        p.b3 = multiplied(p.b3, v3, q0, q1, q2, q3);
    }
    return p;
}

// What is added to a product to make y: nothing beyond the image.
fn skip(base: u32, pixel: u32, vector: u32) -> vec4f {
    if pixel >= args.kernel.pixels {
        return vec4f(0.0);
    }
    return load(base + args.kernel.skip + pixel * args.kernel.result_vectors + vector);
}

fn keep_y(base: u32, start: u32, local: u32, vector: u32, v0: vec4f, v1: vec4f, v2: vec4f, v3: vec4f) {
    let to = (ROOM + vector) * PIXELS + local;
    let pixel = start + local;
    tile[to] = v0 + skip(base, pixel, vector);
    tile[to + 1u] = v1 + skip(base, pixel + 1u, vector);
    tile[to + 2u] = v2 + skip(base, pixel + 2u, vector);
    tile[to + 3u] = v3 + skip(base, pixel + 3u, vector);
}

fn put(base: u32, pixel: u32, vector: u32, v: vec4f) {
    let k = args.kernel;
    if pixel < k.pixels {
        store(base + k.result + pixel * k.result_vectors + vector, masked(v, vector, k.result_channels));
    }
}

fn write_four(base: u32, start: u32, local: u32, vector: u32, v0: vec4f, v1: vec4f, v2: vec4f, v3: vec4f) {
    let origin = (ROOM + vector) * PIXELS + local;
    let pixel = start + local;
    put(base, pixel, vector, v0 + tile[origin]);
    put(base, pixel + 1u, vector, v1 + tile[origin + 1u]);
    put(base, pixel + 2u, vector, v2 + tile[origin + 2u]);
    put(base, pixel + 3u, vector, v3 + tile[origin + 3u]);
}

// The pixels' inputs, scaled, [vector][pixel].
fn load_tile(base: u32, start: u32, local: vec3u) {
    let k = args.kernel;
    for (var item = local.y * SLOTS + local.x; item < PIXELS * k.vectors; item += SLOTS * ROWS) {
        let pixel = item / k.vectors;
        let vector = item % k.vectors;
        var v = vec4f(0.0);
        if start + pixel < k.pixels {
            v = load(base + k.source + (start + pixel) * k.vectors + vector);
            if SCALES {
                v *= load(base + k.scale + vector);
            }
        }
        tile[vector * PIXELS + pixel] = v;
    }
}

// Mean and 1 / sqrt(variance + eps) of each pixel of y.
fn find_moments(local: vec3u) {
    let k = args.kernel;
    for (var pixel = local.y * SLOTS + local.x; pixel < PIXELS; pixel += SLOTS * ROWS) {
        var sum = vec4f(0.0);
        for (var c = 0u; c < k.result_vectors; c++) {
            sum += masked(tile[(ROOM + c) * PIXELS + pixel], c, k.result_channels);
        }
        let mean = dot(sum, vec4f(1.0)) / f32(k.result_channels);
        var squares = vec4f(0.0);
        for (var c = 0u; c < k.result_vectors; c++) {
            let apart = tile[(ROOM + c) * PIXELS + pixel] - mean;
            squares += masked(apart * apart, c, k.result_channels);
        }
        let variance = dot(squares, vec4f(1.0)) / f32(k.result_channels);
        moments[pixel] = vec2f(mean, inverseSqrt(variance + bitcast<f32>(k.eps)));
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
    let base = workgroup.z * k.pitch;
    let start = number * PIXELS;
    let pixel = 4u * local.x;
    let as_is = vec2f(0.0, 1.0);
    let pairs = (k.result_vectors + 1u) / 2u;
    load_tile(base, start, local);
    workgroupBarrier();
    for (var pair = local.y; pair < pairs; pair += ROWS) {
        let weights = k.weights1 + 8u * pair * k.vectors;
        let p = products(0u, k.vectors, pixel, weights, k.bias1 + 2u * pair, as_is, as_is, as_is, as_is);
        keep_y(base, start, pixel, 2u * pair, p.a0, p.a1, p.a2, p.a3);
        if 2u * pair + 1u < k.result_vectors {
            keep_y(base, start, pixel, 2u * pair + 1u, p.b0, p.b1, p.b2, p.b3);
        }
    }
    workgroupBarrier();
    find_moments(local);
    workgroupBarrier();
    let m0 = moments[pixel];
    let m1 = moments[pixel + 1u];
    let m2 = moments[pixel + 2u];
    let m3 = moments[pixel + 3u];
    for (var vector = local.y; vector < k.inner_vectors; vector += ROWS) {
        let weights = k.weights2 + 8u * vector * k.result_vectors;
        let p = products(ROOM, k.result_vectors, pixel, weights, k.bias2 + 2u * vector, m0, m1, m2, m3);
        let to = vector * PIXELS + pixel;
        tile[to] = p.a0 * p.b0;
        tile[to + 1u] = p.a1 * p.b1;
        tile[to + 2u] = p.a2 * p.b2;
        tile[to + 3u] = p.a3 * p.b3;
    }
    workgroupBarrier();
    for (var pair = local.y; pair < pairs; pair += ROWS) {
        let weights = k.weights3 + 8u * pair * k.inner_vectors;
        let p = products(0u, k.inner_vectors, pixel, weights, k.bias3 + 2u * pair, as_is, as_is, as_is, as_is);
        write_four(base, start, pixel, 2u * pair, p.a0, p.a1, p.a2, p.a3);
        if 2u * pair + 1u < k.result_vectors {
            write_four(base, start, pixel, 2u * pair + 1u, p.b0, p.b1, p.b2, p.b3);
        }
    }
}
