// Dense 2D convolution of few output pixels, as a linear layer is: threads share out what is summed. See shared/dense.wgsl.
//
// What is summed over is numbered tap by tap, input vector by input vector; each thread sums every SLOTS-th of it, and
// the threads' sums are added in a tree, always in the same order.
//
// Threads: SLOTS, for one output pixel and one block of outputs. z: the image.
// A line with {v} stands for one line for each vector of a block.
// Bindings: 0 arena, 1 constants, 2 scratch, 3 args.

var<workgroup> sums: array<vec4f, SLOTS>;

// The sum of what all threads have, in the first of them.
fn sum_of_all(own: vec4f, index: u32) -> vec4f {
    // Another sum may still be read.
    workgroupBarrier();
    sums[index] = own;
    for (var half = SLOTS / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if index < half {
            sums[index] += sums[index + half];
        }
    }
    return sums[index];
}

@compute @workgroup_size(SLOTS)
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
    let pixel = number / k.groups;
    let block = number % k.groups;
    let row = pixel / k.columns;
    let column = pixel % k.columns;
    let base = workgroup.z * k.pitch;
    let vectors = k.width0 + k.width1;
    let all = k.taps_y * k.taps_x * vectors;
    var moments = vec2f(0.0);
    if SCALED {
        // The kernel is 1x1: the image is one row.
        moments = pixel_moments(base, column);
    }

    var s{v} = vec4f(0.0);
    var g{v} = vec4f(0.0);
    for (var at = index; at < all; at += SLOTS) {
        let tap = at / vectors;
        let y = input_row(row, tap / k.taps_x);
        let x = input_column(column, tap % k.taps_x);
        let inside = y < k.height && x < k.width;
        let v = fetched(inside, base, y * k.width + x, at % vectors, moments);
        let w = k.weights + (block * all + at) * 4u * WIDE;
        s{v} = multiplied(s{v}, v, constants[w + {v}u], constants[w + WIDE + {v}u], constants[w + 2u * WIDE + {v}u], constants[w + 3u * WIDE + {v}u]);
        if GATED {
            let h = w + VECTORS;
            g{v} = multiplied(g{v}, v, constants[h + {v}u], constants[h + WIDE + {v}u], constants[h + 2u * WIDE + {v}u], constants[h + 3u * WIDE + {v}u]);
        }
    }

    let bias = k.bias + block * WIDE;
    let partials = workgroup.z * k.scratch_pitch + (k.first_tile + pixel) * k.outputs;
    var t{v} = sum_of_all(s{v}, index) + constants[bias + {v}u];
    if GATED {
        t{v} *= sum_of_all(g{v}, index) + constants[bias + VECTORS + {v}u];
    }
    if index == 0u {
        written(t{v}, base, row, column, block * VECTORS + {v}u, partials);
    }
}

// Writes a vector of results, if it is one; it is a partial result of its own.
fn written(v: vec4f, base: u32, row: u32, column: u32, output: u32, partials: u32) {
    if output >= args.kernel.outputs {
        return;
    }
    let result = finished(v, base, row, column, output);
    if REDUCED {
        write_partial(partials + output, counted(NONE, result));
    }
}
