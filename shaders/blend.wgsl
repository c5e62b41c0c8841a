// Adds windows, weighted, to the sums of a frame's pixels, in the order of windows. CPU twin: frame.rs.
//
// sums[c][y][x] += weights[row][column] * out[row][column][c] for each window of this batch that covers the pixel; the
// plane after the last channel's is the sum of the weights. Only `rows` rows of the frame from `top` on are looked at. The
// first window over a pixel, of whatever batch, begins its sums.
//
// Tables: for each row of the frame, the first and the end of the rows of windows over it, and the same for columns;
// the tops and lefts of windows, in the extended frame; the weights, [side][side].
// Threads: 64; one pixel and one plane each, x first. z is 1.
// Bindings: 0 arena, 2 tables, 3 planes, 4 args.

struct Kernel {
    pitch: u32,
    source: u32,
    vectors: u32,
    channels: u32,
    side: u32,
    height: u32,
    width: u32,
    before_y: u32,
    before_x: u32,
    over_rows: u32,
    over_columns: u32,
    tops: u32,
    lefts: u32,
    across: u32,
    weights: u32,
    first: u32,
    count: u32,
    top: u32,
    rows: u32,
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_id) local: vec3u,
) {
    let k = args.kernel;
    let number = flat(workgroup, grid) * 64u + local.x;
    let each = k.rows * k.width;
    if number >= (k.channels + 1u) * each {
        return;
    }
    let channel = number / each;
    let y = k.top + number % each / k.width;
    let x = number % k.width;
    let item = (channel * k.height + y) * k.width + x;
    let first_row = tables[k.over_rows + 2u * y];
    let end_row = tables[k.over_rows + 2u * y + 1u];
    let first_column = tables[k.over_columns + 2u * x];
    let end_column = tables[k.over_columns + 2u * x + 1u];
    var sum = 0.0;
    if first_row * k.across + first_column < k.first {
        sum = planes[item];
    }
    for (var i = first_row; i < end_row; i++) {
        for (var j = first_column; j < end_column; j++) {
            // Windows before this batch wrap around to large numbers.
            let offset = i * k.across + j - k.first;
            if offset >= k.count {
                continue;
            }
            let row = y + k.before_y - tables[k.tops + i];
            let column = x + k.before_x - tables[k.lefts + j];
            let at = row * k.side + column;
            let weight = table_number(k.weights + at);
            if channel == k.channels {
                sum += weight;
            } else {
                let v = value_at(SPLIT, offset * k.pitch + k.source, at * k.vectors + channel / 4u);
                sum = fma(weight, v[channel % 4u], sum);
            }
        }
    }
    planes[item] = sum;
}
