// Brings results from the layout of the arena to planar images, [image][channel][pixel].
//
// Threads: 64; one number each. z: the image.
// Bindings: 0 arena, 3 planes, 4 args.

struct Kernel {
    pitch: u32,
    source: u32,
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
    if item >= k.channels * k.pixels {
        return;
    }
    let channel = item / k.pixels;
    let at = item % k.pixels * k.vectors + channel / 4u;
    let v = value_at(SPLIT, workgroup.z * k.pitch + k.source, at);
    planes[workgroup.z * k.channels * k.pixels + item] = v[channel % 4u];
}
