// Weights that threads which compute the same results for other pixels read alike: each reads one of them, and has the
// others from its neighbours. In place of shared/weights.wgsl where EXCHANGES.
//
// Subgroups have HELD threads at the least. All threads of a subgroup must be here together, for the same weights.

const HELD = 8u;

// One or two of them for each thread.
struct Held {
    first: vec4f,
    second: vec4f,
}

// A thread's number among those of its subgroup.
var<private> own_place: u32;

// To be called once, before any is read.
fn begin_reading() {
    own_place = subgroupExclusiveAdd(1u);
}

// So many of them from `first` on, twice HELD at the most, so far apart.
fn held(first: u32, count: u32, apart: u32) -> Held {
    var read: Held;
    read.first = constants[first + min(own_place, count - 1u) * apart];
    if count > HELD {
        read.second = constants[first + min(HELD + own_place, count - 1u) * apart];
    }
    return read;
}

fn weight(held: Held, index: u32) -> vec4f {
    let first = subgroupShuffle(held.first, index % HELD);
    let second = subgroupShuffle(held.second, index % HELD);
    return select(first, second, index >= HELD);
}
