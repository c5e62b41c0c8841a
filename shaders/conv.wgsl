// Dense 2D convolution, each thread a block of pixels and outputs in registers. See shared/dense.wgsl.
//
// For devices on which workgroup memory gains nothing, and for outputs too few to share inputs.
// Threads: SLOTS x ROWS; x: PIXELS neighbouring pixels of a row; y: a block of outputs. z: the image.
// A thread computes BLOCKS blocks of outputs, one after another: the moments of its pixels are found once for all of them.
// SLIDES: a tap reads what the tap before it read for the next pixel.
// A line with {p} or {v} stands for one line for each pixel or vector of a thread, {q} being the pixel after {p}.
// Bindings: 0 arena, 1 constants, 2 scratch, 3 args.

// What a tap of an output column reads.
fn fetched_at(inside: bool, base: u32, line: u32, column: u32, tap: u32, vector: u32, moments: vec2f) -> vec4f {
    let x = input_column(column, tap);
    return fetched(inside && x < args.kernel.width, base, line + x, vector, moments);
}

// The moments of a thread's pixels.
struct Pixels {
    m{p}: vec2f,
}

// The results of a block at a thread's pixels.
fn compute(base: u32, tile: u32, row: u32, column: u32, block: u32, moments: Pixels, image: u32, local: vec3u) {
    let k = args.kernel;
    let vectors = k.width0 + k.width1;
    let works = row < k.rows && block < k.blocks;
    let bias = k.bias + select(0u, block * WIDE, works);
    var s{p}_{v} = constants[bias + {v}u];
    var g{p}_{v} = constants[bias + select(0u, VECTORS, GATED) + {v}u];
    // Threads that exchange weights stay together, whether there is something to do for each of them or not.
    let taps_y = select(0u, k.taps_y, works || EXCHANGES);
    for (var i = 0u; i < taps_y; i++) {
        let y = input_row(row, i);
        let inside = y < k.height;
        if !inside && !EXCHANGES {
            continue;
        }
        let line = y * k.width;
        for (var c = 0u; c < vectors; c++) {
            var v{p} = fetched_at(inside, base, line, column + {p}u, 0u, c, moments.m{p});
            for (var j = 0u; j < k.taps_x; j++) {
                if j > 0u && SLIDES {
                    v{p} = v{q};
                    v{last} = fetched_at(inside, base, line, column + {last}u, j, c, vec2f(0.0));
                } else if j > 0u {
                    v{p} = fetched_at(inside, base, line, column + {p}u, j, c, vec2f(0.0));
                }
                let at = k.weights + (((block * k.taps_y + i) * k.taps_x + j) * vectors + c) * 4u * WIDE;
                let read = held(at, 4u * WIDE, 1u);
                let w{v}_0 = weight(read, {v}u);
                let w{v}_1 = weight(read, WIDE + {v}u);
                let w{v}_2 = weight(read, 2u * WIDE + {v}u);
                let w{v}_3 = weight(read, 3u * WIDE + {v}u);
                s{p}_{v} = multiplied(s{p}_{v}, v{p}, w{v}_0, w{v}_1, w{v}_2, w{v}_3);
                if GATED {
                    let h{v}_0 = weight(read, VECTORS + {v}u);
                    let h{v}_1 = weight(read, WIDE + VECTORS + {v}u);
                    let h{v}_2 = weight(read, 2u * WIDE + VECTORS + {v}u);
                    let h{v}_3 = weight(read, 3u * WIDE + VECTORS + {v}u);
                    g{p}_{v} = multiplied(g{p}_{v}, v{p}, h{v}_0, h{v}_1, h{v}_2, h{v}_3);
                }
            }
        }
    }

    let output = block * VECTORS;
    var own{v} = NONE;
    if works {
        if GATED {
            s{p}_{v} *= g{p}_{v};
        }
        if column + {p}u < k.columns && output + {v}u < k.outputs { own{v} = counted(own{v}, finished(s{p}_{v}, base, row, column + {p}u, output + {v}u)); }
    }
    if REDUCED {
        let partials = image * k.scratch_pitch + (k.first_tile + tile) * k.outputs + output;
        let all{v} = merge_row(own{v}, local);
        if local.x == 0u && block < k.blocks && output + {v}u < k.outputs { write_partial(partials + {v}u, all{v}); }
    }
}

@compute @workgroup_size(SLOTS, ROWS)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_id) local: vec3u,
) {
    let k = args.kernel;
    let number = flat(workgroup, grid);
    if number >= k.tiles * k.groups {
        return;
    }
    let tile = number / k.groups;
    let group = number % k.groups;
    let per_row = (k.columns + PIXELS - 1u) / PIXELS;
    let slot = tile * SLOTS + local.x;
    let row = slot / per_row;
    let column = slot % per_row * PIXELS;
    let base = workgroup.z * k.pitch;
    begin_reading();

    // The kernel is 1x1 if there are any: the image is one row.
    var moments: Pixels;
    if SCALED && row < k.rows {
        moments.m{p} = pixel_moments(base, min(column + {p}u, k.columns - 1u));
    }
    if BLOCKS == 1u {
        // No loop: some compilers keep one of a single round.
        compute(base, tile, row, column, group * ROWS + local.y, moments, workgroup.z, local);
        return;
    }
    for (var n = 0u; n < BLOCKS; n++) {
        let first = (group * BLOCKS + n) * ROWS;
        if first >= k.blocks {
            break;
        }
        compute(base, tile, row, column, first + local.y, moments, workgroup.z, local);
    }
}
