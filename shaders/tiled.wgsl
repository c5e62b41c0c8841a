// Dense 2D convolution as a matrix product whose tiles are shared by a workgroup. See shared/dense.wgsl.
//
// The product's rows are output pixels, its columns output channels; what is summed over is numbered tap by tap, input
// vector by input vector, and shared SLICE vectors at a time.
//
// Threads: SLOTS x ROWS, rows first, so that neighbouring threads write neighbouring vectors; a slot has PIXELS pixels,
// SLOTS apart; a row has a block of outputs. z: the image.
// A line with {p} or {v} stands for one line for each pixel or vector of a thread.
// Bindings: 0 arena, 1 constants, 2 scratch, 3 args.

// The pixels of a workgroup.
const TILE = SLOTS * PIXELS;
// Vectors that are shared at a time: the loop over slices goes by as many.
const SLICE = 4u;
// Vectors of weights for one input vector of a block.
const EACH = 4u * WIDE;
// A row or column beyond every image.
const NOWHERE = 0x40000000u;

// The first input row and column of each pixel, and its moments.
var<workgroup> origins: array<vec2u, TILE>;
var<workgroup> scales: array<vec2f, TILE>;
// [input vector][pixel], [input vector][lane][vector of the block][row].
var<workgroup> inputs: array<vec4f, SLICE * TILE>;
var<workgroup> factors: array<vec4f, SLICE * EACH * ROWS>;

fn find_pixels(base: u32, first: u32, index: u32) {
    let k = args.kernel;
    for (var at = index; at < TILE; at += SLOTS * ROWS) {
        let pixel = first + at;
        let inside = pixel < k.rows * k.columns;
        let origin = vec2u(input_row(pixel / k.columns, 0u), input_column(pixel % k.columns, 0u));
        origins[at] = select(vec2u(NOWHERE), origin, inside);
        if SCALED {
            // The kernel is 1x1: the image is one row.
            scales[at] = pixel_moments(base, min(pixel, k.columns - 1u));
        }
    }
}

fn share_inputs(base: u32, slice: u32, all: u32, index: u32) {
    let k = args.kernel;
    let vectors = k.width0 + k.width1;
    // The same for all that a thread fetches, the number of threads being a multiple of SLICE.
    let number = slice + index % SLICE;
    let tap = number / vectors;
    let shift = vec2u(tap / k.taps_x, tap % k.taps_x);
    for (var item = index; item < SLICE * TILE; item += SLOTS * ROWS) {
        let at = item / SLICE;
        let place = origins[at] + shift;
        let inside = number < all && place.x < k.height && place.y < k.width;
        let pixel = place.x * k.width + place.y;
        inputs[index % SLICE * TILE + at] = fetched(inside, base, pixel, number % vectors, scales[at]);
    }
}

fn share_factors(first: u32, slice: u32, all: u32, index: u32) {
    let k = args.kernel;
    for (var at = index; at < ROWS * SLICE * EACH; at += SLOTS * ROWS) {
        let row = at / (SLICE * EACH);
        let number = slice + at / EACH % SLICE;
        var v = vec4f(0.0);
        if number < all && first + row < k.blocks {
            v = constants[k.weights + ((first + row) * all + number) * EACH + at % EACH];
        }
        factors[at % (SLICE * EACH) * ROWS + row] = v;
    }
}

@compute @workgroup_size(SLOTS * ROWS)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) index: u32,
) {
    let k = args.kernel;
    let number = flat(workgroup, grid);
    if number >= k.tiles * k.groups {
        return;
    }
    let tile = number / k.groups;
    let first_block = number % k.groups * ROWS;
    let slot = index / ROWS;
    let row = index % ROWS;
    let block = first_block + row;
    let base = workgroup.z * k.pitch;
    let all = k.taps_y * k.taps_x * (k.width0 + k.width1);
    find_pixels(base, tile * TILE, index);

    let bias = k.bias + select(0u, block * WIDE, block < k.blocks);
    var s{p}_{v} = constants[bias + {v}u];
    var g{p}_{v} = constants[bias + select(0u, VECTORS, GATED) + {v}u];
    for (var slice = 0u; slice < all; slice += 4u) {
        // What was shared before may still be read.
        workgroupBarrier();
        share_inputs(base, slice, all, index);
        share_factors(first_block, slice, all, index);
        workgroupBarrier();
        for (var c = 0u; c < SLICE; c++) {
            let v{p} = inputs[c * TILE + slot + {p}u * SLOTS];
            let at = c * EACH * ROWS + row;
            let w{v}_0 = factors[at + {v}u * ROWS];
            let w{v}_1 = factors[at + (WIDE + {v}u) * ROWS];
            let w{v}_2 = factors[at + (2u * WIDE + {v}u) * ROWS];
            let w{v}_3 = factors[at + (3u * WIDE + {v}u) * ROWS];
            s{p}_{v} = multiplied(s{p}_{v}, v{p}, w{v}_0, w{v}_1, w{v}_2, w{v}_3);
            if GATED {
                let h{v}_0 = factors[at + (VECTORS + {v}u) * ROWS];
                let h{v}_1 = factors[at + (WIDE + VECTORS + {v}u) * ROWS];
                let h{v}_2 = factors[at + (2u * WIDE + VECTORS + {v}u) * ROWS];
                let h{v}_3 = factors[at + (3u * WIDE + VECTORS + {v}u) * ROWS];
                g{p}_{v} = multiplied(g{p}_{v}, v{p}, h{v}_0, h{v}_1, h{v}_2, h{v}_3);
            }
        }
    }

    let output = block * VECTORS;
    let pixel = tile * TILE + slot;
    var own{v} = NONE;
    if block < k.blocks {
        if GATED {
            s{p}_{v} *= g{p}_{v};
        }
        own{v} = written(own{v}, s{p}_{v}, base, pixel + {p}u * SLOTS, output + {v}u);
    }
    if REDUCED {
        let partials = workgroup.z * k.scratch_pitch + (k.first_tile + tile) * k.outputs + output;
        let all{v} = merge_row(own{v}, vec3u(slot, row, 0u));
        if slot == 0u && block < k.blocks && output + {v}u < k.outputs { write_partial(partials + {v}u, all{v}); }
    }
}

// Writes a vector of results, if it is one, and counts it.
fn written(own: Moments, v: vec4f, base: u32, pixel: u32, output: u32) -> Moments {
    let k = args.kernel;
    if pixel >= k.rows * k.columns || output >= k.outputs {
        return own;
    }
    return counted(own, finished(v, base, pixel / k.columns, pixel % k.columns, output));
}
