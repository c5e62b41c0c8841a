// The value that a kernel works on: one, or two whose channels follow each other (a concatenation that is not written).
// `Kernel` has source0, width0, source1 and width1: offsets in an image, and vectors of each pixel.
// SPLIT0, SPLIT1: whether they are split (arena.wgsl).

fn source(base: u32, pixel: u32, vector: u32) -> vec4f {
    let width0 = args.kernel.width0;
    if vector < width0 {
        return value_at(SPLIT0, base + args.kernel.source0, pixel * width0 + vector);
    }
    let width1 = args.kernel.width1;
    return value_at(SPLIT1, base + args.kernel.source1, pixel * width1 + vector - width0);
}

// A vector of the value that a kernel works on, after the steps of its prologue.
fn input(base: u32, pixel: u32, vector: u32) -> vec4f {
    return prologue(source(base, pixel, vector), At(base, pixel, vector));
}
