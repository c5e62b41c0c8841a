// Finishes the mean over each channel's pixels from partial moments, and multiplies it by a matrix (channel attention).
//
// out[o] = bias[o] + sum over c of w[c][o] * mean[c].
//
// Layout: weights are [output vector][input vector][lane], as in shared/dense.wgsl.
// Threads: SLOTS x ROWS; x: tiles of partial results; y: vectors of channels; then all for output vectors. One workgroup for each image, z.
// Bindings: 0 arena, 1 constants, 2 scratch, 3 args.

struct Kernel {
    pitch: u32,
    tiles: u32,
    vectors: u32,
    weights: u32,
    bias: u32,
    result: u32,
    result_vectors: u32,
    scratch_pitch: u32,
}

@compute @workgroup_size(SLOTS, ROWS)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_id) local: vec3u) {
    let k = args.kernel;
    let first = workgroup.z * k.scratch_pitch;
    let whole = first + k.tiles * k.vectors;
    merge_tiles(first, whole, k.tiles, k.vectors, local);
    let result = workgroup.z * k.pitch + k.result;
    for (var output = local.y * SLOTS + local.x; output < k.result_vectors; output += SLOTS * ROWS) {
        var sum = constants[k.bias + output];
        for (var vector = 0u; vector < k.vectors; vector++) {
            let mean = partial(whole + vector).mean;
            let at = k.weights + 4u * (output * k.vectors + vector);
            let w0 = constants[at];
            let w1 = constants[at + 1u];
            let w2 = constants[at + 2u];
            let w3 = constants[at + 3u];
            sum = multiplied(sum, mean, w0, w1, w2, w3);
        }
        set_value(HALF, result, output, sum);
    }
}
