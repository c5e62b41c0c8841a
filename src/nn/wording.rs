//! How complaints name places and values.

use serde_json::Value;

use super::arguments::PathPart;

/// Longer texts are not repeated whole.
const LONGEST_SHOWN: usize = 40;

/// `model_args.norm[1].eps`, in backticks.
pub(super) fn place(at: &[PathPart]) -> String {
    let mut text = "`model_args".to_owned();
    for part in at {
        match part {
            PathPart::Key(key) => {
                text.push('.');
                text.push_str(&shorten(key));
            }
            PathPart::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text.push('`');
    text
}

/// A text on one line and not too long, whatever it holds.
pub(super) fn shorten(text: &str) -> String {
    let mut shown: String = text.chars().take(LONGEST_SHOWN).collect();
    if shown.len() < text.len() {
        shown.push_str("...");
    }
    shown.escape_debug().to_string()
}

/// What a value is, in the words of JSON.
pub(super) fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(x) => x.to_string(),
        Value::Number(x) => shorten(&x.to_string()),
        Value::String(x) => format!("\"{}\"", shorten(x)),
        Value::Array(x) => format!("a list of {}", x.len()),
        Value::Object(_) => "an object".to_owned(),
    }
}

/// What to write for a number that is no integer.
pub(super) fn int_help(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => {
            let number = number.as_f64().filter(|x| x.fract() == 0.0)?;
            let float = value.to_string().contains(['.', 'e', 'E']);
            let small = (0.0..1e15).contains(&number);
            (float && small).then(|| format!("write {number}: PyTorch takes no float for a size"))
        }
        Value::Bool(_) => Some("write a number".to_owned()),
        _ => unquote(value),
    }
}

/// What to write for a number in quotes.
pub(super) fn unquote(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    let short = text.len() <= LONGEST_SHOWN && text.parse::<f64>().is_ok();
    short.then(|| format!("write {text} without quotes"))
}
