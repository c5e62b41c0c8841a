//! What names of a model stand for, and the inputs of a node by kind.

use super::call::Call;
use super::constant::Constant;
use super::error::Result;
use super::view::View;

/// What a name stands for.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Constant(Constant),
    Image(View),
    /// What a `SplitToSequence` makes of one: the newer exporter writes PyTorch's `chunk` so.
    Parts(Vec<View>),
}

/// The inputs of a node; `None` where an optional one is left out.
pub(super) type Inputs = Vec<Option<Value>>;

/// An input that depends on the image.
pub(super) fn image<'v>(call: &Call<'_>, inputs: &'v Inputs, at: usize) -> Result<&'v View> {
    match inputs.get(at) {
        Some(Some(Value::Image(view))) => Ok(view),
        Some(Some(Value::Constant(_))) => Err(call.form(
            format!("input {at}"),
            "a value that depends on the image",
            "a constant",
        )),
        Some(Some(Value::Parts(_))) => {
            Err(call.form(format!("input {at}"), "one value", "a sequence"))
        }
        _ => Err(call.form(format!("input {at}"), "a value", "none")),
    }
}

/// An input that, if it is given, is a constant.
pub(super) fn optional<'v>(
    call: &Call<'_>,
    inputs: &'v Inputs,
    at: usize,
) -> Result<Option<&'v Constant>> {
    match inputs.get(at) {
        Some(Some(Value::Constant(constant))) => Ok(Some(constant)),
        Some(Some(Value::Image(_) | Value::Parts(_))) => Err(call.form(
            format!("input {at}"),
            "a constant",
            "a value that depends on the image",
        )),
        _ => Ok(None),
    }
}

/// The inputs as constants; the image is left out.
pub(super) fn constants(inputs: &Inputs) -> Vec<Option<Constant>> {
    let constant = |input: &Option<Value>| match input {
        Some(Value::Constant(constant)) => Some(constant.clone()),
        _ => None,
    };
    inputs.iter().map(constant).collect()
}
