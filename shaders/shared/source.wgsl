// The value that a kernel works on: one, or two whose channels follow each other (a concatenation that is not written).
// `Kernel` has source0, width0, source1 and width1: offsets in an image, and vectors of each pixel.
// JOINED: whether there are two. SPLIT0, SPLIT1: whether they are split (arena.wgsl).

fn source(base: u32, pixel: u32, vector: u32) -> vec4f {
    let width0 = args.kernel.width0;
    let at0 = pixel * width0 + vector;
    if !JOINED {
        return value_at(SPLIT0, base + args.kernel.source0, at0);
    }
    let is_second = vector >= width0;
    let at1 = pixel * args.kernel.width1 + vector - width0;
    if SPLIT0 == SPLIT1 {
        // One read: some devices make both, and take what is asked for.
        let offset = select(args.kernel.source0, args.kernel.source1, is_second);
        return value_at(SPLIT0, base + offset, select(at0, at1, is_second));
    }
    if is_second {
        return value_at(SPLIT1, base + args.kernel.source1, at1);
    }
    return value_at(SPLIT0, base + args.kernel.source0, at0);
}

// A vector of the value that a kernel works on, after the steps of its prologue.
fn input(base: u32, pixel: u32, vector: u32) -> vec4f {
    return prologue(source(base, pixel, vector), At(base, pixel, vector));
}
