// Merges partial moments, in a fixed order, to the value of a reduction. CPU twin: reduce.rs.
//
// MODE 0: the mean of each channel. MODE 1: the mean of each group of channels, then each 1 / sqrt(variance + eps).
//
// Threads: SLOTS x ROWS; x: tiles of partial results; y: vectors of channels. One workgroup for each image, z.
// Bindings: 0 arena, 2 scratch, 3 args.

struct Kernel {
    pitch: u32,
    tiles: u32,
    vectors: u32,
    channels: u32,
    groups: u32,
    eps: u32,
    result: u32,
    result_vectors: u32,
    result_channels: u32,
    scratch_pitch: u32,
}

// The moments of a group of channels: those of each in turn, which follow the partial results by now.
fn group_moments(first: u32, group: u32) -> vec3f {
    let size = args.kernel.channels / args.kernel.groups;
    var all = vec3f(0.0);
    for (var channel = group * size; channel < (group + 1u) * size; channel++) {
        let one = partial(first + channel / 4u);
        let count = all.x + one.count;
        let share = one.count / count;
        let apart = one.mean[channel % 4u] - all.y;
        all.y += apart * share;
        all.z += one.squares[channel % 4u] + apart * apart * all.x * share;
        all.x = count;
    }
    return all;
}

// One number of the result.
fn merged_number(first: u32, index: u32) -> f32 {
    let k = args.kernel;
    if index >= k.result_channels {
        return 0.0;
    }
    if MODE == 0u {
        return partial(first + index / 4u).mean[index % 4u];
    }
    let all = group_moments(first, index % k.groups);
    if index < k.groups {
        return all.y;
    }
    return inverseSqrt(all.z / all.x + bitcast<f32>(k.eps));
}

@compute @workgroup_size(SLOTS, ROWS)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_id) local: vec3u) {
    let k = args.kernel;
    let first = workgroup.z * k.scratch_pitch;
    let whole = first + k.tiles * k.vectors;
    merge_tiles(first, whole, k.tiles, k.vectors, local);
    let result = workgroup.z * k.pitch + k.result;
    for (var vector = local.y * SLOTS + local.x; vector < k.result_vectors; vector += SLOTS * ROWS) {
        var v = vec4f(0.0);
        for (var i = 0u; i < 4u; i++) {
            v[i] = merged_number(whole, 4u * vector + i);
        }
        set_value(HALF, result, vector, v);
    }
}
