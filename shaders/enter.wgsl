// Brings planar images, [image][channel][pixel] in f32, to the layout of the arena.
//
// Threads: 64; one vector of one pixel each. z: the image.
// Bindings: 0 arena, 1 frame, 4 args.

struct Kernel {
    pitch: u32,
    result: u32,
    vectors: u32,
    channels: u32,
    pixels: u32,
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_id) local: vec3u,
) {
    let k = args.kernel;
    let item = flat(workgroup, grid) * 64u + local.x;
    if item >= k.pixels * k.vectors {
        return;
    }
    var v = vec4f(0.0);
    for (var i = 0u; i < 4u; i++) {
        let channel = 4u * (item % k.vectors) + i;
        if channel < k.channels {
            v[i] = bitcast<f32>(frame[(workgroup.z * k.channels + channel) * k.pixels + item / k.vectors]);
        }
    }
    set_value(SPLIT, workgroup.z * k.pitch + k.result, item, v);
}
