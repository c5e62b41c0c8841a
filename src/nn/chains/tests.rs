use std::sync::Arc;

use proptest::prelude::*;

use crate::nn::{
    Binary, Chain, Conv, Function, Graph, GraphBuilder, Op, Program, Shape, ValueId, fuse,
};

fn conv(inputs: usize, outputs: usize, kernel: usize) -> Op {
    let half = (kernel / 2) as isize;
    Op::Conv(Conv {
        outputs,
        kernel: [kernel, kernel],
        stride: [1, 1],
        padding: [[half, half], [half, half]],
        groups: 1,
        transposed: false,
        weight: vec![0.5; kernel * kernel * inputs * outputs].into(),
        bias: None,
    })
}

fn depthwise(channels: usize) -> Op {
    let Op::Conv(mut conv) = conv(1, channels, 3) else {
        unreachable!()
    };
    conv.groups = channels;
    Op::Conv(conv)
}

fn constant(channels: usize, value: f32) -> Arc<[f32]> {
    vec![value; channels].into()
}

fn layer_norm(channels: usize) -> Op {
    Op::LayerNorm {
        weight: constant(channels, 1.0),
        bias: constant(channels, 0.0),
        eps: 1e-6,
    }
}

/// The chains in words: `0 > LN conv > 3`, with the reductions in brackets.
fn words(program: &Program) -> Vec<String> {
    let chain = |chain: &Chain| {
        let source: Vec<String> = chain.source.iter().map(|v| v.index().to_string()).collect();
        let steps = chain.steps.iter().map(|v| program.graph.node(*v).op.name());
        let steps: Vec<String> = steps.collect();
        let mut text = format!("{} > {}", source.join("+"), steps.join(", "));
        if chain.kept {
            text += &format!(" > {}", chain.steps.last().unwrap().index());
        }
        for reduction in &chain.reductions {
            let name = program.graph.node(*reduction).op.name();
            text += &format!(" [{name} {}]", reduction.index());
        }
        text
    };
    program.chains.iter().map(chain).collect()
}

/// NAFNet's block on `x`.
fn block(b: &mut GraphBuilder, x: ValueId, c: usize) -> ValueId {
    let affine = Op::Affine {
        scale: constant(c, 0.25),
        shift: constant(c, 0.0),
    };
    let v = b.push(layer_norm(c), &[x]).unwrap();
    let v = b.push(conv(c, 2 * c, 1), &[v]).unwrap();
    let v = b.push(depthwise(2 * c), &[v]).unwrap();
    let v = b.push(Op::Gate, &[v]).unwrap();
    let mean = b.push(Op::Mean, &[v]).unwrap();
    let s = b.push(conv(c, c, 1), &[mean]).unwrap();
    let v = b.push(Op::Binary(Binary::Multiply), &[v, s]).unwrap();
    let v = b.push(conv(c, c, 1), &[v]).unwrap();
    let v = b.push(affine.clone(), &[v]).unwrap();
    let y = b.push(Op::Binary(Binary::Add), &[x, v]).unwrap();
    let v = b.push(layer_norm(c), &[y]).unwrap();
    let v = b.push(conv(c, 2 * c, 1), &[v]).unwrap();
    let v = b.push(Op::Gate, &[v]).unwrap();
    let v = b.push(conv(c, c, 1), &[v]).unwrap();
    let v = b.push(affine, &[v]).unwrap();
    b.push(Op::Binary(Binary::Add), &[y, v]).unwrap()
}

#[test]
fn a_block_of_nafnet_is_three_chains() {
    let (mut b, input) = GraphBuilder::new(Shape::new(1, 8, 8)).unwrap();
    let x = b.push(conv(1, 4, 3), &[input]).unwrap();
    let x = block(&mut b, x, 4);
    let x = block(&mut b, x, 4);
    let v = b.push(conv(4, 1, 3), &[x]).unwrap();
    let v = b.push(Op::Binary(Binary::Add), &[v, input]).unwrap();
    let program = fuse(b.finish(v));
    insta::assert_snapshot!(words(&program).join("\n"), @r"
    0 > 3x3 convolution > 1
    1 > layer norm, 1x1 convolution, 3x3 convolution, gate > 5 [mean 6]
    6 > 1x1 convolution > 7
    5 > product, 1x1 convolution, sum, layer norm, 1x1 convolution, gate, 1x1 convolution, sum > 15
    15 > layer norm, 1x1 convolution, 3x3 convolution, gate > 19 [mean 20]
    20 > 1x1 convolution > 21
    19 > product, 1x1 convolution, sum, layer norm, 1x1 convolution, gate, 1x1 convolution, sum > 29
    29 > 3x3 convolution, sum > 31
    ");
}

#[test]
fn a_unit_of_a_unet_normalises_as_it_loads() {
    let (mut b, input) = GraphBuilder::new(Shape::new(2, 8, 8)).unwrap();
    let moments = |c| Op::Moments {
        groups: c,
        eps: 1e-5,
    };
    let norm = Op::Normalise {
        weight: None,
        bias: None,
    };
    let relu = Op::Apply(Function::Relu);
    let v = b.push(conv(2, 3, 3), &[input]).unwrap();
    let m = b.push(moments(3), &[v]).unwrap();
    let v = b.push(norm.clone(), &[v, m]).unwrap();
    let v = b.push(relu.clone(), &[v]).unwrap();
    let v = b.push(conv(3, 3, 3), &[v]).unwrap();
    let m = b.push(moments(3), &[v]).unwrap();
    let v = b.push(norm, &[v, m]).unwrap();
    let v = b.push(relu.clone(), &[v]).unwrap();
    let residual = b.push(conv(2, 3, 1), &[input]).unwrap();
    let v = b.push(Op::Binary(Binary::Add), &[v, residual]).unwrap();
    let both = b.push(Op::Concat, &[v, input]).unwrap();
    let v = b.push(conv(5, 2, 3), &[both]).unwrap();
    let m = b.push(Op::Mean, &[both]).unwrap();
    let v = b.push(relu, &[v]).unwrap();
    let m = b.push(conv(5, 2, 1), &[m]).unwrap();
    let v = b.push(Op::Binary(Binary::Multiply), &[v, m]).unwrap();
    let program = fuse(b.finish(v));
    insta::assert_snapshot!(words(&program).join("\n"), @r"
    0 > 3x3 convolution > 1 [moments 2]
    1 > norm, ReLU, 3x3 convolution > 5 [moments 6]
    5 > norm, ReLU > 8
    0 > 1x1 convolution, sum > 10
    10+0 > 3x3 convolution, ReLU > 14
    10+0 >  [mean 13]
    13 > 1x1 convolution > 15
    14 > product > 16
    ");
}

#[test]
fn what_follows_a_convolution_is_folded_into_it() {
    let (mut b, input) = GraphBuilder::new(Shape::new(1, 4, 4)).unwrap();
    let v = b.push(conv(1, 2, 1), &[input]).unwrap();
    let affine = |scale, shift| Op::Affine {
        scale: constant(2, scale),
        shift: constant(2, shift),
    };
    let v = b.push(affine(2.0, 1.0), &[v]).unwrap();
    let v = b.push(affine(3.0, 0.5), &[v]).unwrap();
    let graph = fuse(b.finish(v)).graph;
    let [_, only] = graph.nodes() else {
        panic!("{graph:?}")
    };
    let Op::Conv(conv) = &only.op else {
        panic!("{only:?}")
    };
    assert_eq!(*conv.weight, [3.0, 3.0]);
    assert_eq!(conv.bias.as_deref(), Some(&[3.5, 3.5][..]));
}

/// A graph of random ops, each on random earlier values that fit.
fn random(choices: &[(u8, usize, usize)]) -> Graph {
    let (mut b, input) = GraphBuilder::new(Shape::new(2, 6, 4)).unwrap();
    let mut values = vec![input];
    for (kind, first, second) in choices {
        let (a, c) = (values[first % values.len()], values[second % values.len()]);
        let channels = b.shape(a).channels;
        let made = match kind % 12 {
            0 => b.push(conv(channels, 2, 3), &[a]),
            1 => b.push(conv(channels, 4, 1), &[a]),
            2 => b.push(Op::Apply(Function::Relu), &[a]),
            3 => b.push(Op::Gate, &[a]),
            4 => b.push(Op::Mean, &[a]),
            5 => b.push(Op::Concat, &[a, c]),
            6 | 7 => b.push(Op::Binary(Binary::Add), &[a, c]),
            8 => b.push(Op::Binary(Binary::Subtract), &[a, c]),
            9 => b.push(layer_norm(channels), &[a]),
            10 => b.push(depthwise(channels), &[a]),
            _ => {
                let groups = channels;
                let moments = b.push(Op::Moments { groups, eps: 0.1 }, &[a]).unwrap();
                let norm = Op::Normalise {
                    weight: None,
                    bias: None,
                };
                b.push(norm, &[a, moments])
            }
        };
        // What does not fit is left out, and so is what grows too large.
        if let Ok(value) = made
            && b.shape(value).channels <= 64
        {
            values.push(value);
        }
    }
    let last = *values.last().unwrap();
    b.finish(last)
}

/// That a program computes every value once, before it is read, and keeps it until it was.
fn check(program: &Program) {
    let graph = &program.graph;
    let in_place: Vec<bool> = graph
        .values()
        .map(|(value, node)| {
            node.op == Op::Concat && !program.chains.iter().any(|c| c.steps.contains(&value))
        })
        .collect();
    let mut computed = vec![0; graph.nodes().len()];
    computed[0] = 1;
    // Who owns each number of the memory.
    let mut owner: Vec<Option<ValueId>> = vec![None; program.size];
    let input = graph.input_value();
    let write = |value: ValueId, owner: &mut Vec<Option<ValueId>>| {
        let place = program.places[value.index()].clone().unwrap();
        assert_eq!(place.len(), graph.shape(value).elements());
        owner[place].fill(Some(value));
    };
    write(input, &mut owner);
    for chain in &program.chains {
        assert!(!chain.results().collect::<Vec<_>>().is_empty());
        let read: Vec<ValueId> = chain.reads(graph).collect();
        // Results are written while the chain reads.
        for value in chain.results() {
            write(value, &mut owner);
        }
        for value in read {
            let place = program.places[value.index()].clone().expect("it is kept");
            assert!(owner[place].iter().all(|owner| *owner == Some(value)));
            assert_eq!(computed[value.index()], 1);
        }
        let spatial = |v: &&ValueId| !graph.node(**v).op.is_pointwise();
        assert!(chain.steps.iter().filter(spatial).count() <= 1);
        for (at, step) in chain.steps.iter().enumerate() {
            let node = graph.node(*step);
            computed[step.index()] += 1;
            if node.op == Op::Concat {
                assert_eq!(at, 0);
                continue;
            }
            match at {
                0 if in_place[node.inputs[0].index()] => assert!(chain.source.len() > 1),
                0 => assert_eq!(chain.source, [node.inputs[0]]),
                _ => assert_eq!(node.inputs[0], chain.steps[at - 1]),
            }
            for operand in node.inputs.iter().skip(1) {
                if let Some(from) = chain.steps.iter().position(|s| s == operand) {
                    assert!(from < at);
                    let between = &chain.steps[from + 1..at];
                    assert!(between.iter().all(|s| graph.node(*s).op.is_pointwise()));
                }
            }
        }
        for reduction in &chain.reductions {
            computed[reduction.index()] += 1;
        }
        for (at, step) in chain.steps.iter().enumerate() {
            let is_last = at + 1 == chain.steps.len();
            let read_elsewhere = graph.values().any(|(reader, node)| {
                node.inputs.contains(step)
                    && !chain.steps.contains(&reader)
                    && !chain.reductions.contains(&reader)
            });
            assert!(!read_elsewhere || (is_last && chain.kept));
        }
    }
    for (value, node) in graph.values() {
        let wanted = usize::from(!in_place[value.index()]);
        assert_eq!(computed[value.index()], wanted, "{value:?} {node:?}");
    }
    let output = program.places[graph.output().index()].clone().unwrap();
    assert!(
        owner[output]
            .iter()
            .all(|owner| *owner == Some(graph.output()))
    );
}

proptest! {
    #[test]
    fn every_value_is_computed_once_and_kept_until_it_was_read(
        choices in prop::collection::vec((0_u8..12, 0_usize..40, 0_usize..40), 1..40)
    ) {
        check(&fuse(random(&choices)));
    }
}

/// A concatenation of a concatenation of ...: as deep as a graph may be.
#[test]
fn concatenations_may_be_nested_as_deep_as_they_like() {
    let (mut builder, input) = GraphBuilder::new(Shape::new(1, 2, 2)).unwrap();
    let mut all = input;
    let depth = 20_000;
    for _ in 0..depth {
        all = builder.push(Op::Concat, &[all, input]).unwrap();
    }
    let output = builder.push(conv(depth + 1, 1, 1), &[all]).unwrap();
    let program = fuse(builder.finish(output));
    assert_eq!(program.chains.len(), 1);
    assert_eq!(program.chains[0].source, vec![input; depth + 1]);
}

#[test]
fn what_follows_a_convolution_is_not_folded_again_and_again() {
    let ops_left = |affines: usize| {
        let (mut builder, input) = GraphBuilder::new(Shape::new(256, 2, 2)).unwrap();
        let mut value = builder.push(conv(256, 256, 1), &[input]).unwrap();
        for _ in 0..affines {
            let (scale, shift) = (constant(256, 0.5), constant(256, 1.0));
            value = builder.push(Op::Affine { scale, shift }, &[value]).unwrap();
        }
        fuse(builder.finish(value)).graph.nodes().len()
    };
    // The input and the convolution.
    assert_eq!(ops_left(3), 2);
    assert_eq!(ops_left(20_000), 2);
}

#[test]
fn networks_without_end_are_refused() {
    let (mut builder, mut value) = GraphBuilder::new(Shape::new(1, 1, 1)).unwrap();
    let error = loop {
        match builder.push(Op::Apply(Function::Relu), &[value]) {
            Ok(next) => value = next,
            Err(error) => break error,
        }
    };
    assert_eq!(value.index(), 32767);
    assert!(error.to_string().contains("at most 32768 ops"), "{error}");
    // A single chain of all of them.
    assert_eq!(fuse(builder.finish(value)).chains.len(), 1);
}
