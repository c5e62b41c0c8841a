// Moments of a pixel's channels, without Bessel's correction. `Kernel` has channels and eps besides what source.wgsl needs.

fn pixel_mean(base: u32, pixel: u32) -> f32 {
    let vectors = args.kernel.width0 + args.kernel.width1;
    var sum = vec4f(0.0);
    for (var c = 0u; c < vectors; c++) {
        sum += masked(input(base, pixel, c), c, args.kernel.channels);
    }
    return mean_of(sum, args.kernel.channels);
}

// The mean, and 1 / sqrt(variance + eps).
fn pixel_moments(base: u32, pixel: u32) -> vec2f {
    let vectors = args.kernel.width0 + args.kernel.width1;
    let mean = pixel_mean(base, pixel);
    var squares = vec4f(0.0);
    for (var c = 0u; c < vectors; c++) {
        let apart = input(base, pixel, c) - mean;
        squares += masked(apart * apart, c, args.kernel.channels);
    }
    return vec2f(mean, inverse_of(squares, args.kernel.channels, args.kernel.eps));
}
