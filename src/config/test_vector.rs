//! A model's test vector: the files of an input and its expected answer, and how near the answer must be.

use super::SourceFile;
use super::Test;
use super::context::Context;
use super::paths::{future_file, made_file, source_file};
use super::tree::{Data, Entry, Node};

const TEST_KEYS: &[&str] = &[
    "input",
    "expected",
    "labels",
    "rtol",
    "atol",
    "mismatch_ppm",
];

pub(super) fn read(entry: &Entry, name: &str, context: &mut Context<'_>) -> Option<Test> {
    let what = format!("`{name}.test`");
    let node = &entry.value;
    let Some(entries) = node.entries() else {
        context.wrong_type(&what, node, "a table with `input` and `expected`");
        return None;
    };
    context.unknown_keys(entries, &what, TEST_KEYS);
    for key in ["input", "expected"] {
        if node.get(key).is_none() {
            context
                .error(
                    format!("{what} has no `{key}`"),
                    &entry.key_span,
                    format!("expected `{key}` in this table"),
                )
                .set_help("a test needs both `input` and `expected`");
        }
    }
    let mut file = |key: &str| {
        let entry = node.get(key)?;
        let what = format!("`{name}.test.{key}`");
        let file = match key {
            "expected" => expected_file(context, &entry.value, &what, name)?,
            _ => source_file(context, &entry.value, &what)?,
        };
        with_extension(context, file, &what)
    };
    let (input, expected, labels) = (file("input"), file("expected"), file("labels"));
    let mut tolerance = |key: &str| {
        let node = &node.get(key)?.value;
        tolerance(context, node, &format!("`{name}.test.{key}`"))
    };
    Some(Test {
        rtol: tolerance("rtol"),
        atol: tolerance("atol"),
        mismatch_ppm: tolerance("mismatch_ppm"),
        input: input?,
        expected: expected?,
        labels,
    })
}

/// What is expected of the model `name`, which may still have to be recorded.
fn expected_file(
    context: &mut Context<'_>,
    node: &Node,
    what: &str,
    name: &str,
) -> Option<SourceFile> {
    if context.surroundings.records_tests {
        return future_file(context, node, what);
    }
    let config = context.source.name();
    let help = format!(
        "copy it there if another program made it, or make it of what the model gives here: `bundle test {config} --record --model {name}`"
    );
    made_file(context, node, what, &help)
}

/// A file of a test vector; its extension is kept in the archive, so it must have one.
fn with_extension(context: &mut Context<'_>, file: SourceFile, what: &str) -> Option<SourceFile> {
    if file.extension().is_none() {
        context
            .error(
                format!("{what}: the file's type is unknown"),
                &file.span,
                "expected a file extension",
            )
            .set_help("name the file with its type: `.tif`, `.npy`, `.png`, `.csv`");
        return None;
    }
    Some(file)
}

fn tolerance(context: &mut Context<'_>, node: &Node, what: &str) -> Option<f64> {
    let number = match node.data {
        Data::Float(x) => x,
        Data::Int(x) => x as f64,
        _ => {
            context.wrong_type(what, node, "a number");
            return None;
        }
    };
    if !(number.is_finite() && number >= 0.0) {
        let found = context.text(&node.span);
        let label = format!("expected a number of at least 0, found {found}");
        context.error(format!("{what} is out of range"), &node.span, label);
        return None;
    }
    Some(number)
}
