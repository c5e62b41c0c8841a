// Functions keep what is no number: `min`, `max` and `clamp` of WGSL may drop it, and a result would look sound. It is
// told by its bits, since a compiler may take v != v for false.

fn keep_nan(v: vec4f, result: vec4f) -> vec4f {
    return select(result, v, (bitcast<vec4u>(v) & vec4u(0x7fffffffu)) > vec4u(0x7f800000u));
}

// What is no number, whatever v is.
fn no_number(v: vec4f) -> vec4f {
    return bitcast<vec4f>(bitcast<vec4u>(v) | vec4u(0x7fc00000u));
}
