//! What no argument shows alone: arguments that need, contradict or weaken one another.

use super::{get, number};
use crate::config::catalogue::{ModelKind, ModelSpec};
use crate::config::context::Context;
use crate::config::problem::{Problem, Span};
use crate::config::tree::{Data, Entry, Node};

/// What no argument shows alone.
pub(super) fn check(
    entries: &[&Entry],
    spec: &ModelSpec,
    what: &str,
    span: &Span,
    context: &mut Context<'_>,
) {
    match spec.kind {
        ModelKind::Nafnet | ModelKind::MonaiUnet => {
            check_scaling(entries, what, span, context);
            check_patch_size(entries, spec, what, context);
        }
        ModelKind::FlexResNet if get(entries, "classes").is_none() => {
            context
                .warn(
                    format!("{what} has no `classes`"),
                    span,
                    "expected `classes` in this table",
                )
                .set_help("HiTMicTools names what it classifies after them, and fails without")
                .set_model(spec.key)
                .set_blocks_loading();
        }
        _ => {}
    }
    if let Some(node) = get(entries, "overlap_ratio")
        && number(node).is_some_and(|x| x > 0.5 && x < 1.0)
    {
        context
            .warn(
                format!("the overlap in {what} is large"),
                &node.span,
                "more than half of each window",
            )
            .set_help("each pixel is computed more than four times; 0.25 is usual");
    }
}

fn check_patch_size(entries: &[&Entry], spec: &ModelSpec, what: &str, context: &mut Context<'_>) {
    if let Some(node) = get(entries, "patch_size")
        && let Data::Int(size) = node.data
        && size > 0
        && size & (size - 1) != 0
    {
        let kind = spec.kind;
        context
            .warn(
                format!("the `patch_size` in {what} is no power of two"),
                &node.span,
                "",
            )
            .set_help(format!(
                "{kind} halves its input several times; take 128, 256 or 512"
            ));
    }
}

/// `ImageScaler` demands `bit_depth` for `fixed_range`, wants `pmin` below `pmax`, and takes both or neither.
fn check_scaling(entries: &[&Entry], what: &str, span: &Span, context: &mut Context<'_>) {
    let scaler = get(entries, "scaler_args");
    let scaler_arg = |key: &str| Some(&scaler?.get(key)?.value);
    let method = get(entries, "scale_method").map(|node| &node.data);
    if matches!(method, Some(Data::String(x)) if x == "fixed_range")
        && scaler_arg("bit_depth").is_none()
    {
        let at = get(entries, "scale_method").map_or(span, |node| &node.span);
        context
            .error(
                format!("{what} has no `scaler_args.bit_depth`"),
                at,
                "`fixed_range` needs it",
            )
            .set_help("add the camera's bit depth: scaler_args = { bit_depth = 12 }");
    }
    match (scaler_arg("pmin"), scaler_arg("pmax")) {
        (Some(low), Some(high)) => {
            if let (Some(a), Some(b)) = (number(low), number(high))
                && a >= b
            {
                let problem = Problem::error(
                    context.source,
                    format!("`pmin` in {what} is not below `pmax`"),
                )
                .label(&low.span, "expected the smaller")
                .label(&high.span, "expected the larger")
                .help("they are percentiles; the usual ones are 1.0 and 99.8");
                context.add(problem);
            }
        }
        (Some(alone), None) => warn_of_one_percentile(alone, "pmin", "pmax", context),
        (None, Some(alone)) => warn_of_one_percentile(alone, "pmax", "pmin", context),
        (None, None) => {}
    }
}

fn warn_of_one_percentile(node: &Node, given: &str, missing: &str, context: &mut Context<'_>) {
    context
        .warn(
            format!("`{given}` without `{missing}` has no effect"),
            &node.span,
            "ignored by HiTMicTools",
        )
        .set_help("give both; without, they are 1 and 99.8");
}
