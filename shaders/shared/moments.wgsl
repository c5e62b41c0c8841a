// Partial moments: a workgroup's share of the mean and of the sum of squared deviations of four channels.
//
// A workgroup is SLOTS threads along x, for pixels, times ROWS along y. Threads of a row merge what they have in a
// tree (Chan, Golub and LeVeque 1979), always in the same order. A partial result is three vectors of the scratch:
// count, mean, sum of squared deviations.

struct Moments {
    count: f32,
    mean: vec4f,
    squares: vec4f,
}

const NONE = Moments(0.0, vec4f(0.0), vec4f(0.0));

var<workgroup> counts: array<f32, SLOTS * ROWS>;
var<workgroup> means: array<vec4f, SLOTS * ROWS>;
var<workgroup> squares: array<vec4f, SLOTS * ROWS>;

fn merged(a: Moments, b: Moments) -> Moments {
    let count = a.count + b.count;
    let share = b.count / max(count, 1.0);
    let apart = b.mean - a.mean;
    return Moments(count, fma(apart, vec4f(share), a.mean), a.squares + b.squares + apart * apart * a.count * share);
}

// With one more vector (Welford 1962).
fn joined(m: Moments, v: vec4f) -> Moments {
    let apart = v - m.mean;
    let mean = m.mean + apart / (m.count + 1.0);
    return Moments(m.count + 1.0, mean, fma(apart, v - mean, m.squares));
}

// What all threads of the row have together, in every thread whose x is 0. All threads of the workgroup must call it.
fn merge_row(own: Moments, local: vec3u) -> Moments {
    let at = local.y * SLOTS + local.x;
    // Another round may still be read.
    workgroupBarrier();
    counts[at] = own.count;
    means[at] = own.mean;
    squares[at] = own.squares;
    for (var half = SLOTS / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if local.x < half {
            let other = at + half;
            let both = merged(
                Moments(counts[at], means[at], squares[at]),
                Moments(counts[other], means[other], squares[other]),
            );
            counts[at] = both.count;
            means[at] = both.mean;
            squares[at] = both.squares;
        }
    }
    return Moments(counts[at], means[at], squares[at]);
}

// Writes a partial result for a vector of channels.
fn write_partial(index: u32, m: Moments) {
    scratch[3u * index] = vec4f(m.count);
    scratch[3u * index + 1u] = m.mean;
    scratch[3u * index + 2u] = m.squares;
}

fn partial(index: u32) -> Moments {
    return Moments(scratch[3u * index].x, scratch[3u * index + 1u], scratch[3u * index + 2u]);
}

// Merges the partial results [tile][vector] that begin at `first` to those of the whole image, at `whole`; each row of
// threads has a vector at a time. All threads of the workgroup must call it.
fn merge_tiles(first: u32, whole: u32, tiles: u32, vectors: u32, local: vec3u) {
    for (var start = 0u; start < vectors; start += ROWS) {
        let vector = start + local.y;
        var own = NONE;
        if vector < vectors {
            for (var tile = local.x; tile < tiles; tile += SLOTS) {
                own = merged(own, partial(first + tile * vectors + vector));
            }
        }
        let all = merge_row(own, local);
        if local.x == 0u && vector < vectors {
            write_partial(whole + vector, all);
        }
    }
    storageBarrier();
    workgroupBarrier();
}
