//! The `config.yml` inside a bundle, whoever wrote it, as plain values.

use std::sync::Arc;

use super::problem::Source;
use super::tree::{self, Syntax};
use crate::value::Map;

/// Reads the bytes of a bundle's `config.yml` as HiTMicTools' loader does, with PyYAML. A null says nothing, and is left out.
///
/// # Errors
/// Says what is wrong and in which line: not UTF-8, no YAML, an unquoted date.
pub fn read_bundle_config(bytes: &[u8]) -> Result<Map, String> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| format!("byte {} is not UTF-8", error.valid_up_to()))?;
    let source = Source::new("config.yml", Arc::from(text));
    let mut problems = Vec::new();
    let root = tree::parse(&source, Syntax::PyYaml, &mut problems);
    if let Some(problem) = problems.first() {
        let offset = problem.spans().next().map_or(0, |span| span.start);
        let before = text.as_bytes().iter().take(offset);
        let line = before.filter(|byte| **byte == b'\n').count() + 1;
        return Err(format!("line {line}: {}", problem.message()));
    }
    let mut nulls = Vec::new();
    let root = root.filter(|root| root.entries().is_some());
    let root = root.ok_or_else(|| "expected a table of models".to_owned())?;
    Ok(root.to_map(&source, &mut nulls))
}
