// What the kernels around a network share: frames, tables, and the results that are read back.
//
// Images of a frame are planar, [channel][row][column]. Values in the arena are laid out as in values.wgsl; SPLIT: whether
// that which is read or written is split (arena.wgsl). The tables are words: numbers as such, or the bits of an f32.

struct Args {
    kernel: Kernel,
}

// Numbers of the frame as its file has them, four, two or one to a word.
@group(0) @binding(1) var<storage, read> frame: array<u32>;
@group(0) @binding(2) var<storage, read> tables: array<u32>;
@group(0) @binding(3) var<storage, read_write> planes: array<f32>;
@group(0) @binding(4) var<uniform> args: Args;

fn table_number(index: u32) -> f32 {
    return bitcast<f32>(tables[index]);
}
