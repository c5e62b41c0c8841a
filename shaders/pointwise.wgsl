// Steps alone: out = prologue(in), pixel by pixel. CPU twin: pointwise.rs.
//
// Threads: 64; one vector of one pixel each, vectors first. z: the image.
// Bindings: 0 arena, 1 constants, 3 args.

struct Kernel {
    pitch: u32,
    source0: u32,
    width0: u32,
    source1: u32,
    width1: u32,
    pixels: u32,
    result: u32,
    result_channels: u32,
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_id) local: vec3u,
) {
    let k = args.kernel;
    let vectors = k.width0 + k.width1;
    let item = flat(workgroup, grid) * 64u + local.x;
    if item >= k.pixels * vectors {
        return;
    }
    let at = At(workgroup.z * k.pitch, item / vectors, item % vectors);
    let v = prologue(source(at.base, at.pixel, at.vector), at);
    set_value(SPLIT_RESULT, at.base + k.result, item, masked(v, at.vector, k.result_channels));
}
