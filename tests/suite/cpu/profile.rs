//! What the CPU's profile says of a network that is known.

use std::sync::Arc;
use std::time::Duration;

use model_bundle::exec::cpu::Cpu;
use model_bundle::exec::{Executor, Finish, KernelTime, Profile};
use model_bundle::nn::{Op, Shape, fuse};
use model_bundle::progress::Silent;

use model_bundle::exec::cases::{Random, SIDE, convolution, frame, single};

fn row<'a>(profile: &'a Profile, name: &str) -> &'a KernelTime {
    let found = profile.kernels.iter().find(|row| row.name == name);
    found.unwrap_or_else(|| panic!("no {name} in {profile:?}"))
}

#[test]
fn every_op_has_a_row_and_no_bit_changes() {
    let mut random = Random(1);
    let program = Arc::new(fuse(convolution(&mut random, 2, 3).unwrap()));
    let frame = frame(&mut random, 2, [30, 41], Finish::Sigmoid);
    let windows = frame.windows.count();
    let cpu = |profile| Cpu::new(2).unwrap().with_profile(profile);
    let run = |profile: bool| {
        let mut session = cpu(profile).load(program.clone()).unwrap();
        let results: Vec<Vec<f32>> = (0..2)
            .map(|_| {
                session.submit(frame.clone(), &Silent).unwrap();
                session.collect(&Silent).unwrap().unwrap()
            })
            .collect();
        (results, session.profile().unwrap())
    };
    let (plain, none) = run(false);
    let (found, profile) = run(true);
    assert_eq!(none, None);
    assert_eq!(plain, found);
    let profile = profile.unwrap();
    let names: Vec<&str> = profile.kernels.iter().map(|row| &*row.name).collect();
    for name in [
        "3x3 convolution",
        "mean",
        "difference",
        "scale",
        "gather",
        "blend",
        "finish",
    ] {
        assert_eq!(
            names.iter().filter(|found| **found == name).count(),
            1,
            "{names:?}"
        );
    }
    assert_eq!(names.len(), 7, "{names:?}");
    let conv = row(&profile, "3x3 convolution");
    assert_eq!(conv.shape, format!("2->3 {SIDE}x{SIDE}"));
    assert_eq!(
        conv.flops,
        (2 * windows * 2 * 9 * 2 * 3 * SIDE * SIDE) as u64
    );
    // A call for each batch, and the same for all that is done with a batch.
    let batches = row(&profile, "gather").calls;
    assert!(batches >= 2 && batches <= 2 * windows as u64);
    assert_eq!(conv.calls, batches);
    assert_eq!(row(&profile, "difference").calls, batches);
    assert_eq!(row(&profile, "finish").calls, 2);
    // The convolution reads two channels, writes three, and has learnt weights.
    let values = 2 * windows * (2 + 3) * SIDE * SIDE;
    let learnt = batches as usize * program.graph.nodes()[1].op.learnt();
    assert_eq!(conv.bytes, 4 * (values + learnt) as u64);
    let flops: u64 = profile.kernels.iter().map(|row| row.flops).sum();
    assert_eq!(flops, 2 * windows as u64 * program.flops());
    assert!(conv.time > Duration::ZERO);
    assert!(profile.wall > Duration::ZERO);
}

/// Images that are no windows, in batches.
#[test]
fn images_enter_and_leave() {
    let mut random = Random(2);
    let conv = random.conv(2, 4, [1, 1], 1);
    let graph = single(Shape::new(2, SIDE, SIDE), Op::Conv(conv)).unwrap();
    let images = Random(3).numbers(5 * graph.input().elements());
    let cpu = Cpu::new(1).unwrap().with_windows(2.try_into().unwrap());
    let program = Arc::new(fuse(graph));
    let mut session = cpu.with_profile(true).load(program.clone()).unwrap();
    session.run(&images, 5).unwrap();
    let profile = session.profile().unwrap().unwrap();
    let calls: Vec<(&str, u64)> = profile
        .kernels
        .iter()
        .map(|row| (&*row.name, row.calls))
        .collect();
    assert_eq!(calls, [("1x1 convolution", 3), ("enter", 3), ("leave", 3)]);
    assert_eq!(profile.kernels[0].flops, 5 * program.flops());
    assert_eq!(program.flops(), (2 * 2 * 4 * SIDE * SIDE) as u64);
}
