// Weights that threads which compute the same results for other pixels read alike: each thread reads what it multiplies
// with. Devices that read slowly, and whose threads exchange numbers fast, take shared/exchange.wgsl in its place.

// Weights that are read together: where they begin, and how far they are apart.
struct Held {
    first: u32,
    apart: u32,
}

// To be called once, before any is read.
fn begin_reading() {}

// So many of them from `first` on, so far apart.
fn held(first: u32, count: u32, apart: u32) -> Held {
    return Held(first, apart);
}

fn weight(held: Held, index: u32) -> vec4f {
    return constants[held.first + index * held.apart];
}
