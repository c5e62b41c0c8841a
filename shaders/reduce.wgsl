// Partial moments of each channel over a share of the pixels: see moments.wgsl. CPU twin: reduce.rs.
//
// Threads: SLOTS x ROWS; x: pixels of a tile of `tile_pixels`; y: a vector. z: the image.
// Bindings: 0 arena, 1 constants, 2 scratch, 3 args.

struct Kernel {
    pitch: u32,
    source0: u32,
    width0: u32,
    source1: u32,
    width1: u32,
    pixels: u32,
    tile_pixels: u32,
    tiles: u32,
    blocks: u32,
    scratch_pitch: u32,
}

@compute @workgroup_size(SLOTS, ROWS)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_id) local: vec3u,
) {
    let k = args.kernel;
    let number = flat(workgroup, grid);
    if number >= k.tiles * k.blocks {
        return;
    }
    let tile = number / k.blocks;
    let vector = number % k.blocks * ROWS + local.y;
    let vectors = k.width0 + k.width1;
    let base = workgroup.z * k.pitch;
    var own = NONE;
    if vector < vectors {
        let end = min((tile + 1u) * k.tile_pixels, k.pixels);
        for (var pixel = tile * k.tile_pixels + local.x; pixel < end; pixel += SLOTS) {
            own = joined(own, input(base, pixel, vector));
        }
    }
    let all = merge_row(own, local);
    if local.x == 0u && vector < vectors {
        write_partial(workgroup.z * k.scratch_pitch + tile * vectors + vector, all);
    }
}
