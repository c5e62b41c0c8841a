// Cuts windows out of a frame, scaled as the network sees them. CPU twin: frame.rs.
//
// in[row][column][c] = scaling c of frame[c][rows[top + row]][columns[left + column]], where `rows` and `columns` say
// what stands in the extended frame (reflection), and top and left are those of the window `first + z`.
//
// Tables: rows; columns; the tops of the rows of windows; the lefts of the columns; and for each channel: whether there
// is a range, low, span + eps, whether it clips, whether there is a mean, mean, deviation + 1e-6.
// Threads: 64; one vector of one pixel each. z: the window.
// Bindings: 0 arena, 1 frame, 2 tables, 4 args.

struct Kernel {
    pitch: u32,
    result: u32,
    vectors: u32,
    channels: u32,
    side: u32,
    height: u32,
    width: u32,
    // What the frame's numbers are: 0 uint8, 1 uint16, 2 int16, 3 float32, 4 uint32, 5 int32.
    kind: u32,
    rows: u32,
    columns: u32,
    tops: u32,
    lefts: u32,
    across: u32,
    scalings: u32,
    first: u32,
}

fn pixel_of(index: u32) -> f32 {
    switch args.kernel.kind {
        case 0u: {
            return f32((frame[index / 4u] >> (8u * (index % 4u))) & 0xffu);
        }
        case 1u: {
            return f32((frame[index / 2u] >> (16u * (index % 2u))) & 0xffffu);
        }
        case 2u: {
            // Shifted up and down again, which repeats the sign.
            return f32(bitcast<i32>(frame[index / 2u] << (16u * (1u - index % 2u))) >> 16u);
        }
        case 4u: {
            return f32(frame[index]);
        }
        case 5u: {
            return f32(bitcast<i32>(frame[index]));
        }
        default: {
            return bitcast<f32>(frame[index]);
        }
    }
}

fn scaled(v: f32, table: u32) -> f32 {
    var result = v;
    if tables[table] != 0u {
        result = (result - table_number(table + 1u)) / table_number(table + 2u);
        if tables[table + 3u] != 0u {
            result = clamp(result, 0.0, 1.0);
        }
    }
    if tables[table + 4u] != 0u {
        result = (result - table_number(table + 5u)) / table_number(table + 6u);
    }
    return result;
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_id) local: vec3u,
) {
    let k = args.kernel;
    let item = flat(workgroup, grid) * 64u + local.x;
    if item >= k.side * k.side * k.vectors {
        return;
    }
    let window = k.first + workgroup.z;
    let pixel = item / k.vectors;
    let row = tables[k.rows + tables[k.tops + window / k.across] + pixel / k.side];
    let column = tables[k.columns + tables[k.lefts + window % k.across] + pixel % k.side];
    var v = vec4f(0.0);
    for (var i = 0u; i < 4u; i++) {
        let channel = 4u * (item % k.vectors) + i;
        if channel < k.channels {
            let number = pixel_of((channel * k.height + row) * k.width + column);
            v[i] = scaled(number, k.scalings + 7u * channel);
        }
    }
    set_value(SPLIT, workgroup.z * k.pitch + k.result, item, v);
}
