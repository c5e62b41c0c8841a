// Steps before and after a kernel: pointwise ops on a vector of channels. `op` are the step's numbers; offsets count
// vectors, of constants where a function says "learnt", else of the arena within an image.

fn number(word: u32) -> f32 {
    return bitcast<f32>(word);
}

// A second value of the same shape, of so many vectors a pixel: op = offset, width.
fn image(at: At, op: vec4u) -> vec4f {
    return load(at.base + op.x + at.pixel * op.y + at.vector);
}

// The same of a value that is split.
fn split_image(at: At, op: vec4u) -> vec4f {
    return value_at(true, at.base + op.x, at.pixel * op.y + at.vector);
}

// A second value of one pixel: op = offset.
fn channels(at: At, op: vec4u) -> vec4f {
    return value_at(HALF, at.base + op.x, at.vector);
}

// A second value of one channel: op = offset.
fn plane(at: At, op: vec4u) -> vec4f {
    return vec4f(load(at.base + op.x + at.pixel).x);
}

fn split_plane(at: At, op: vec4u) -> vec4f {
    return vec4f(value_at(true, at.base + op.x, at.pixel).x);
}

// v * scale + shift: op = learnt scale, learnt shift.
fn affine(v: vec4f, at: At, op: vec4u) -> vec4f {
    return fma(v, constants[op.x + at.vector], constants[op.y + at.vector]);
}

// Instance norm, (v - mean) * inverse * weight + bias: op = means, inverses, learnt weight, learnt bias.
fn normalise(v: vec4f, at: At, op: vec4u) -> vec4f {
    let centred = v - value_at(HALF, at.base + op.x, at.vector);
    let scaled = centred * value_at(HALF, at.base + op.y, at.vector);
    return fma(scaled, constants[op.z + at.vector], constants[op.w + at.vector]);
}

// One of a vector's numbers; `index` counts numbers from the offset on.
fn lane(base: u32, offset: u32, index: u32) -> f32 {
    return value_at(HALF, base + offset, index / 4u)[index % 4u];
}

// Group norm: op = moments, channels of a group, groups, learnt weight and bias, vector by vector in turn.
fn normalise_groups(v: vec4f, at: At, op: vec4u) -> vec4f {
    var mean = vec4f(0.0);
    var inverse = vec4f(0.0);
    for (var i = 0u; i < 4u; i++) {
        // Channels that there are not have the last group's moments.
        let group = min((4u * at.vector + i) / op.y, op.z - 1u);
        mean[i] = lane(at.base, op.x, group);
        inverse[i] = lane(at.base, op.x, op.z + group);
    }
    let learnt = op.w + 2u * at.vector;
    return fma((v - mean) * inverse, constants[learnt], constants[learnt + 1u]);
}

fn relu(v: vec4f) -> vec4f {
    return keep_nan(v, max(v, vec4f(0.0)));
}

// op = slope.
fn leaky_relu(v: vec4f, op: vec4u) -> vec4f {
    return select(v, v * number(op.x), v < vec4f(0.0));
}

// op = learnt slopes.
fn prelu(v: vec4f, at: At, op: vec4u) -> vec4f {
    return select(v, v * constants[op.x + at.vector], v < vec4f(0.0));
}

// exp(v) - 1, by its series where the difference would lose digits.
fn exp_minus_one(v: vec4f) -> vec4f {
    let series = v * (1.0 + v * (1.0 / 2.0 + v * (1.0 / 6.0 + v * (1.0 / 24.0 + v * (1.0 / 120.0 + v / 720.0)))));
    return select(exp(v) - 1.0, series, abs(v) < vec4f(0.25));
}

// op = alpha.
fn elu(v: vec4f, op: vec4u) -> vec4f {
    return select(v, number(op.x) * exp_minus_one(min(v, vec4f(0.0))), v < vec4f(0.0));
}

// Abramowitz and Stegun 7.1.26, to 1.5e-7; near zero the Maclaurin series.
fn error_function(v: vec4f) -> vec4f {
    let a = abs(v);
    let t = 1.0 / fma(vec4f(0.3275911), a, vec4f(1.0));
    let p = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
    // Beyond 10 it is 1 in f32.
    let b = min(a, vec4f(10.0));
    let far = 1.0 - p * exp(-b * b);
    let s = v * v;
    let near = 1.1283791671 * a * (1.0 - s * (1.0 / 3.0 - s * (1.0 / 10.0 - s * (1.0 / 42.0 - s / 216.0))));
    return keep_nan(v, sign(v) * select(far, near, a < vec4f(0.4)));
}

fn sigmoid(v: vec4f) -> vec4f {
    // exp stays finite.
    return keep_nan(v, 1.0 / (1.0 + exp(min(-v, vec4f(80.0)))));
}

// By sigmoid, or by its series near zero.
fn hyperbolic_tangent(v: vec4f) -> vec4f {
    let s = v * v;
    let near = v * (1.0 - s * (1.0 / 3.0 - s * (2.0 / 15.0 - s * (17.0 / 315.0 - s * 62.0 / 2835.0))));
    return select(2.0 * sigmoid(2.0 * v) - 1.0, near, abs(v) < vec4f(0.35));
}

fn gelu(v: vec4f) -> vec4f {
    return 0.5 * v * (1.0 + error_function(v * 0.70710678118));
}

// 1 + tanh(u) is 2 sigmoid(2 u).
fn gelu_tanh(v: vec4f) -> vec4f {
    return v * sigmoid(1.5957691216 * (v + 0.044715 * v * v * v));
}

// op = alpha.
fn swish(v: vec4f, op: vec4u) -> vec4f {
    return v * sigmoid(number(op.x) * v);
}

// log(1 + e), by its series where the sum would lose digits; e is at least 0.
fn log_one_plus(e: vec4f) -> vec4f {
    let series = e * (1.0 - e * (1.0 / 2.0 - e * (1.0 / 3.0 - e * (1.0 / 4.0 - e / 5.0))));
    return select(log(1.0 + e), series, e < vec4f(0.03));
}

fn softplus(v: vec4f) -> vec4f {
    return keep_nan(v, max(v, vec4f(0.0)) + log_one_plus(exp(-abs(v))));
}

fn mish(v: vec4f) -> vec4f {
    return v * hyperbolic_tangent(softplus(v));
}
