// Ops that move numbers one by one: choice of channels, pixel shuffle, zero padding, crop, one part of a concatenation;
// and gates whose halves do not begin at a vector (GATED). CPU twin: pointwise.rs.
//
// out[y][x][c + to] = in[y / factor][x / factor][(c * factor + y % factor) * factor + x % factor + from], zero where the
// input has no such pixel; GATED: in[y][x][c] * in[y][x][c + channels].
// Channels of the result that are not within to .. to + channels stay as they are.
//
// Threads: 64; one vector of one pixel of the result each. z: the image.
// Bindings: 0 arena, 3 args.

struct Kernel {
    pitch: u32,
    source: u32,
    source_width: u32,
    height: u32,
    width: u32,
    result: u32,
    result_width: u32,
    rows: u32,
    columns: u32,
    channels: u32,
    factor: u32,
    start: u32,
    to: u32,
}

fn number_at(base: u32, pixel: u32, channel: u32) -> f32 {
    let k = args.kernel;
    return value_at(SPLIT_SOURCE, base + k.source, pixel * k.source_width + channel / 4u)[channel % 4u];
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_id) local: vec3u,
) {
    let k = args.kernel;
    let item = flat(workgroup, grid) * 64u + local.x;
    if item >= k.rows * k.columns * k.result_width {
        return;
    }
    let vector = item % k.result_width;
    let pixel = item / k.result_width;
    let y = pixel / k.columns;
    let x = pixel % k.columns;
    let base = workgroup.z * k.pitch;
    // What other parts of a concatenation have written.
    var v = vec4f(0.0);
    if k.to > 0u {
        v = masked(value_at(SPLIT_RESULT, base + k.result, item), vector, k.to);
    }
    let source_y = y / k.factor;
    let source_x = x / k.factor;
    let inside = source_y < k.height && source_x < k.width;
    let from_pixel = source_y * k.width + source_x;
    for (var i = 0u; i < 4u; i++) {
        let channel = 4u * vector + i - k.to;
        if channel >= k.channels {
            continue;
        }
        v[i] = 0.0;
        if inside {
            let phase = y % k.factor * k.factor + x % k.factor;
            v[i] = number_at(base, from_pixel, channel * k.factor * k.factor + phase + k.start);
            if GATED {
                v[i] *= number_at(base, from_pixel, channel + k.channels);
            }
        }
    }
    set_value(SPLIT_RESULT, base + k.result, item, v);
}
