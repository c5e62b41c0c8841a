// The blended frame: sums divided by the sum of weights, then scaled back or through a sigmoid. CPU twin: frame.rs.
//
// `finish`: 0 nothing more; 1 back by v * deviation + mean, then v * span + low; 2: 1 / (1 + exp(-v)).
//
// Tables: for each channel: whether there is a mean, mean, deviation, whether there is a range, low, span.
// Threads: 64; one number each. z is 1.
// Bindings: 2 tables, 3 planes, 4 args.

struct Kernel {
    channels: u32,
    pixels: u32,
    scalings: u32,
    finish: u32,
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
    var v = planes[item] / planes[k.channels * k.pixels + item % k.pixels];
    if k.finish == 1u {
        let table = k.scalings + 6u * (item / k.pixels);
        if tables[table] != 0u {
            v = fma(v, table_number(table + 2u), table_number(table + 1u));
        }
        if tables[table + 3u] != 0u {
            v = fma(v, table_number(table + 5u), table_number(table + 4u));
        }
    } else if k.finish == 2u {
        // exp stays finite.
        v = keep_nan(vec4f(v), vec4f(1.0 / (1.0 + exp(min(-v, 80.0))))).x;
    }
    planes[item] = v;
}
