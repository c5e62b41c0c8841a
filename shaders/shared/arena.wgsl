// The arena, which holds the values of a network, vector by vector, and how they are read and written.
//
// `Stored` is vec4f, or vec4h where values are stored in half precision (HALF); all arithmetic is in f32. A value that
// is `split` has two vectors for each of its own then: the numbers rounded, and what that left of them; both together
// have 22 binary digits. Values of one pixel are split wherever values are stored in half precision.

@group(0) @binding(0) var<storage, read_write> arena: array<Stored>;

// What is left is stored so many times larger, so that it is about as large as the number itself: the smallest numbers of
// half precision have few digits.
const ENLARGED = 2048.0;

fn load(index: u32) -> vec4f {
    return vec4f(arena[index]);
}

// The largest number of half precision. What is beyond it is stored as no number: as infinity, it would be made a number
// again by a sigmoid, and a result would look sound.
const LARGEST = 65504.0;

fn store(index: u32, v: vec4f) {
    if HALF {
        arena[index] = Stored(select(v, no_number(v), abs(v) > vec4f(LARGEST)));
    } else {
        arena[index] = Stored(v);
    }
}

// A vector of a value whose vectors begin at `first`.
fn value_at(split: bool, first: u32, index: u32) -> vec4f {
    if split {
        let at = first + 2u * index;
        return fma(load(at + 1u), vec4f(1.0 / ENLARGED), load(at));
    }
    return load(first + index);
}

// What is left of numbers when they are rounded: nothing of those that become infinite, which is told by their bits as in
// nan.wgsl.
fn left_of(v: vec4f) -> vec4f {
    let rounded = vec4f(Stored(v));
    let is_infinite = (bitcast<vec4u>(rounded) & vec4u(0x7fffffffu)) == vec4u(0x7f800000u);
    return select((v - rounded) * ENLARGED, vec4f(0.0), is_infinite);
}

fn set_value(split: bool, first: u32, index: u32, v: vec4f) {
    if split {
        let at = first + 2u * index;
        store(at, v);
        store(at + 1u, left_of(v));
    } else {
        store(first + index, v);
    }
}
