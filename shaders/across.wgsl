// What looks over the channels of each pixel. `MODE` is one of:
//   0  layer norm: (v - mean) / sqrt(variance + eps) * weight[c] + bias[c], without Bessel's correction
//   1  softmax: exp(v - largest) / sum of exp(v - largest)
//   2  the mean, as one channel
// CPU twin: pointwise.rs.
//
// Threads: 64; one pixel each. z: the image.
// Bindings: 0 arena, 1 constants, 3 args.

struct Kernel {
    pitch: u32,
    source0: u32,
    width0: u32,
    source1: u32,
    width1: u32,
    pixels: u32,
    channels: u32,
    eps: u32,
    weight: u32,
    bias: u32,
    result: u32,
}

fn layer_norm(base: u32, pixel: u32, vectors: u32) {
    let k = args.kernel;
    let moments = pixel_moments(base, pixel);
    for (var c = 0u; c < vectors; c++) {
        let scaled = (input(base, pixel, c) - moments.x) * moments.y;
        let v = fma(scaled, constants[k.weight + c], constants[k.bias + c]);
        set_value(SPLIT_RESULT, base + k.result, pixel * vectors + c, masked(v, c, k.channels));
    }
}

fn softmax(base: u32, pixel: u32, vectors: u32) {
    let k = args.kernel;
    var most = input(base, pixel, 0u).x;
    for (var c = 0u; c < vectors; c++) {
        let v = select(vec4f(most), input(base, pixel, c), present(c, k.channels));
        most = max(max(max(v.x, v.y), max(v.z, v.w)), most);
    }
    var sum = vec4f(0.0);
    for (var c = 0u; c < vectors; c++) {
        sum += masked(exp(input(base, pixel, c) - most), c, k.channels);
    }
    let inverse = 1.0 / dot(sum, vec4f(1.0));
    for (var c = 0u; c < vectors; c++) {
        let v = exp(input(base, pixel, c) - most) * inverse;
        set_value(SPLIT_RESULT, base + k.result, pixel * vectors + c, masked(v, c, k.channels));
    }
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_id) local: vec3u,
) {
    let k = args.kernel;
    let pixel = flat(workgroup, grid) * 64u + local.x;
    if pixel >= k.pixels {
        return;
    }
    let base = workgroup.z * k.pitch;
    let vectors = k.width0 + k.width1;
    if MODE == 0u {
        layer_norm(base, pixel, vectors);
    } else if MODE == 1u {
        softmax(base, pixel, vectors);
    } else {
        set_value(SPLIT_RESULT, base + k.result, pixel, vec4f(pixel_mean(base, pixel), 0.0, 0.0, 0.0));
    }
}
