//! Rewrites a graph as exporters leave it into the ops that were exported: layer norms, gates, activations.
//!
//! Each node is looked at with what has already been rewritten before it. What is not recognised stays as it is.

use std::sync::Arc;

use super::graph::{Graph, GraphBuilder, Node, ValueId};
use super::op::{Binary, Function, Op};

/// The same computation in fewer ops.
pub(super) fn recognise(graph: &Graph) -> Graph {
    let Ok((builder, input)) = GraphBuilder::new(graph.input()) else {
        return graph.clone();
    };
    let mut rewriter = Rewriter { builder };
    let mut uses = vec![0_usize; graph.nodes().len()];
    for id in graph.nodes().iter().flat_map(|node| &node.inputs) {
        uses[id.index()] += 1;
    }
    let mut moved = vec![input];
    for node in graph.nodes().iter().skip(1) {
        let inputs: Vec<ValueId> = node.inputs.iter().map(|id| moved[id.index()]).collect();
        let single = node.inputs.iter().all(|id| uses[id.index()] == 1);
        let better = rewriter.better(&node.op, &inputs, single);
        let better = better.and_then(|(op, inputs)| rewriter.builder.push(op, &inputs).ok());
        let made = match better {
            Some(made) if rewriter.builder.shape(made) == node.shape => made,
            _ => match rewriter.builder.push(node.op.clone(), &inputs) {
                Ok(made) => made,
                // It fitted before, and every value has the shape that it had.
                Err(_) => return graph.clone(),
            },
        };
        moved.push(made);
    }
    rewriter.builder.finish(moved[graph.output().index()])
}

struct Rewriter {
    builder: GraphBuilder,
}

/// An op with its inputs.
type Applied = (Op, Vec<ValueId>);

impl Rewriter {
    fn node(&self, value: ValueId) -> &Node {
        self.builder.node(value)
    }

    fn first(&self, value: ValueId) -> Option<ValueId> {
        self.node(value).inputs.first().copied()
    }

    /// What this op on these values amounts to, together with what gives them; `single` if nothing else uses them.
    fn better(&self, op: &Op, inputs: &[ValueId], single: bool) -> Option<Applied> {
        match (op, inputs) {
            (Op::Affine { scale, shift }, [value]) => {
                let norm = || self.after_norm(scale, shift, *value);
                single
                    .then(norm)
                    .flatten()
                    .or_else(|| self.joined(scale, shift, *value))
                    .or_else(|| self.gelu_halved(scale, shift, *value))
            }
            (Op::Crop { .. }, [value]) if matches!(self.node(*value).op, Op::Crop { .. }) => {
                Some((op.clone(), self.node(*value).inputs.clone()))
            }
            (Op::Binary(Binary::Divide), [a, b]) => self.layer_norm(*a, *b),
            (Op::Binary(Binary::Multiply), [a, b]) if a == b => {
                Some((Op::Apply(Function::Square), vec![*a]))
            }
            (Op::Binary(Binary::Multiply), [a, b]) => {
                self.product(*a, *b).or_else(|| self.product(*b, *a))
            }
            _ => None,
        }
    }

    /// Two affines in which nothing is rounded twice: a scale, then a shift.
    fn joined(&self, scale: &Arc<[f32]>, shift: &Arc<[f32]>, value: ValueId) -> Option<Applied> {
        let Op::Affine {
            scale: before,
            shift: moved,
        } = &self.node(value).op
        else {
            return None;
        };
        (all(scale, 1.0) && all(moved, 0.0)).then(|| {
            let op = Op::Affine {
                scale: before.clone(),
                shift: shift.clone(),
            };
            (op, self.node(value).inputs.clone())
        })
    }

    /// A scale or a shift after a norm that has none yet.
    fn after_norm(
        &self,
        scale: &Arc<[f32]>,
        shift: &Arc<[f32]>,
        value: ValueId,
    ) -> Option<Applied> {
        let node = self.node(value);
        let op = match &node.op {
            Op::LayerNorm { weight, bias, eps } => {
                let [weight, bias] = after(scale, shift, weight, bias)?;
                Op::LayerNorm {
                    weight,
                    bias,
                    eps: *eps,
                }
            }
            Op::Normalise {
                weight: None,
                bias: None,
            } => Op::Normalise {
                weight: Some(scale.clone()),
                bias: Some(shift.clone()),
            },
            Op::Normalise {
                weight: Some(weight),
                bias: Some(bias),
            } => {
                let [weight, bias] = after(scale, shift, weight, bias)?;
                Op::Normalise {
                    weight: Some(weight),
                    bias: Some(bias),
                }
            }
            _ => return None,
        };
        Some((op, node.inputs.clone()))
    }

    /// `(v - mean) / sqrt(mean((v - mean)^2) + eps)`, the means over channels.
    fn layer_norm(&self, apart: ValueId, root: ValueId) -> Option<Applied> {
        let value = self.centred(apart)?;
        let sum = self.applied(root, &Function::Sqrt)?;
        let Op::Affine { scale, shift } = &self.node(sum).op else {
            return None;
        };
        let ([one], [eps]) = (scale.as_ref(), shift.as_ref()) else {
            return None;
        };
        let variance = self.first(sum)?;
        let squared =
            matches!(self.node(variance).op, Op::ChannelMean).then(|| self.first(variance))??;
        if *one != 1.0 || self.applied(squared, &Function::Square)? != apart {
            return None;
        }
        let channels = self.builder.shape(value).channels;
        let op = Op::LayerNorm {
            weight: vec![1.0; channels].into(),
            bias: vec![0.0; channels].into(),
            eps: *eps,
        };
        Some((op, vec![value]))
    }

    /// The value from which its mean over channels was taken away.
    fn centred(&self, apart: ValueId) -> Option<ValueId> {
        let node = self.node(apart);
        let (Op::Binary(Binary::Subtract), [value, mean]) = (&node.op, node.inputs.as_slice())
        else {
            return None;
        };
        let is_mean = matches!(self.node(*mean).op, Op::ChannelMean);
        (is_mean && self.first(*mean)? == *value).then_some(*value)
    }

    /// What a function was applied to.
    fn applied(&self, value: ValueId, function: &Function) -> Option<ValueId> {
        match &self.node(value).op {
            Op::Apply(found) if found == function => self.first(value),
            _ => None,
        }
    }

    /// A product of a value with something made of the same value.
    fn product(&self, a: ValueId, b: ValueId) -> Option<Applied> {
        if let Some(whole) = self.halves(a, b) {
            return Some((Op::Gate, vec![whole]));
        }
        let apply = |function| Some((Op::Apply(function), vec![a]));
        if let Some(inside) = self.applied(b, &Function::Sigmoid) {
            if inside == a {
                return apply(Function::Swish { alpha: 1.0 });
            }
            let alpha = self.multiple(inside, a)?;
            return apply(Function::Swish { alpha });
        }
        if let Some(inside) = self.applied(b, &Function::Tanh)
            && self.applied(inside, &Function::Softplus) == Some(a)
        {
            return apply(Function::Mish);
        }
        // Half of the value, or half of the other factor.
        if let Some(function) = self.bell(a, b, 0.5) {
            return apply(function);
        }
        let whole = self.first(a)?;
        let halved = self.multiple(a, whole) == Some(0.5);
        let function = halved.then(|| self.bell(whole, b, 1.0)).flatten()?;
        Some((Op::Apply(function), vec![whole]))
    }

    /// The value whose first half of channels one is, and whose second half the other.
    fn halves(&self, a: ValueId, b: ValueId) -> Option<ValueId> {
        let part = |value: ValueId| match self.node(value).op {
            Op::Channels { start, channels } => Some((self.first(value)?, start, channels)),
            _ => None,
        };
        let (whole, start, channels) = part(a)?;
        let other = part(b)?;
        let even = self.builder.shape(whole).channels == 2 * channels;
        (even && start == 0 && other == (whole, channels, channels)).then_some(whole)
    }

    /// By which number a value was multiplied to give another.
    fn multiple(&self, made: ValueId, of: ValueId) -> Option<f32> {
        let Op::Affine { scale, shift } = &self.node(made).op else {
            return None;
        };
        let by = *scale.first()?;
        (self.first(made)? == of && all(shift, 0.0) && all(scale, by)).then_some(by)
    }

    /// `half * (1 + erf(v / sqrt(2)))`, or `half * (1 + tanh(...))`: by what GELU multiplies `v`, but for the half that
    /// may stand elsewhere.
    fn bell(&self, value: ValueId, factor: ValueId, half: f32) -> Option<Function> {
        let (inside, scale, shift) = self.one_more(factor)?;
        let inside = match scale == half && shift == half {
            true => inside,
            false => return None,
        };
        if let Some(inner) = self.applied(inside, &Function::Erf) {
            let by = self.multiple(inner, value)?;
            return near(by, std::f32::consts::FRAC_1_SQRT_2).then_some(Function::Gelu);
        }
        let inner = self.applied(inside, &Function::Tanh)?;
        let sum = self.first(inner)?;
        let by = self.multiple(inner, sum)?;
        let node = self.node(sum);
        let (Op::Binary(Binary::Add), [a, b]) = (&node.op, node.inputs.as_slice()) else {
            return None;
        };
        let cubic = if *a == value { *b } else { *a };
        let cube = self.first(cubic)?;
        let fits = near(by, (2.0 / std::f32::consts::PI).sqrt())
            && (*a == value || *b == value)
            && near(self.multiple(cubic, cube)?, 0.044_715)
            && self.is_cube(cube, value);
        fits.then_some(Function::GeluTanh)
    }

    /// A value that is scaled and shifted by one number each; a later factor is taken into both.
    fn one_more(&self, factor: ValueId) -> Option<(ValueId, f32, f32)> {
        let uniform = |value: ValueId| {
            let Op::Affine { scale, shift } = &self.node(value).op else {
                return None;
            };
            let (by, plus) = (*scale.first()?, *shift.first()?);
            let same = all(scale, by) && all(shift, plus);
            same.then_some((self.first(value)?, by, plus))
        };
        let (inside, by, plus) = uniform(factor)?;
        match uniform(inside) {
            Some((inner, first, added)) if plus == 0.0 => Some((inner, first * by, added * by)),
            _ => Some((inside, by, plus)),
        }
    }

    fn is_cube(&self, cube: ValueId, of: ValueId) -> bool {
        let node = self.node(cube);
        match (&node.op, node.inputs.as_slice()) {
            (Op::Binary(Binary::Multiply), [a, b]) => {
                let square = |value: ValueId| self.applied(value, &Function::Square) == Some(of);
                (square(*a) && *b == of) || (square(*b) && *a == of)
            }
            _ => false,
        }
    }

    /// GELU whose half comes last: `v * (1 + erf(v / sqrt(2))) * 0.5`.
    fn gelu_halved(&self, scale: &[f32], shift: &[f32], value: ValueId) -> Option<Applied> {
        let node = self.node(value);
        let (Op::Binary(Binary::Multiply), [a, b]) = (&node.op, node.inputs.as_slice()) else {
            return None;
        };
        if !all(scale, 0.5) || !all(shift, 0.0) {
            return None;
        }
        let of = |value: ValueId, factor: ValueId| {
            let function = self.bell(value, factor, 1.0)?;
            Some((Op::Apply(function), vec![value]))
        };
        of(*a, *b).or_else(|| of(*b, *a))
    }
}

fn all(list: &[f32], number: f32) -> bool {
    list.iter().all(|found| *found == number)
}

/// The same number, as exporters round it.
fn near(found: f32, wanted: f32) -> bool {
    (found - wanted).abs() <= 1e-6 * wanted.abs()
}

/// A norm's weight and bias with a scale and a shift after them, where none of their numbers is rounded: only a scale
/// before there was a bias, or only a shift.
fn after(
    scale: &Arc<[f32]>,
    shift: &Arc<[f32]>,
    weight: &Arc<[f32]>,
    bias: &Arc<[f32]>,
) -> Option<[Arc<[f32]>; 2]> {
    if all(weight, 1.0) && all(bias, 0.0) {
        return Some([scale.clone(), shift.clone()]);
    }
    (all(scale, 1.0) && all(bias, 0.0)).then(|| [weight.clone(), shift.clone()])
}
