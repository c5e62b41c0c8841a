//! A model's JSON metadata: read, and checked for what the loader takes from it.

use super::catalogue::{ModelKind, ModelSpec};
use super::context::Context;
use super::paths::source_file;
use super::problem::{Problem, Source, Span};
use super::tree::{self, Data, Entry, Node, Syntax};
use super::{Metadata, SourceFile, named};

/// A larger metadata file is refused.
const MAX_METADATA_BYTES: u64 = 16 << 20;

impl Metadata {
    /// Where the file says something: `keys` lead down through its objects and lists, as far as they are there. The place is
    /// that of the last key that is, or of a list's item.
    pub fn span_of(&self, keys: &[&str]) -> Span {
        let mut span = 0..1.min(self.source.inner().len());
        let root = tree::parse(&self.source, Syntax::Json, &mut Vec::new());
        let mut node = root.as_ref();
        for key in keys {
            match node.map(|node| &node.data) {
                Some(Data::Map(entries)) => {
                    let Some(entry) = entries.iter().find(|entry| entry.key.to_string() == *key)
                    else {
                        break;
                    };
                    span = entry.key_span.clone();
                    node = Some(&entry.value);
                }
                Some(Data::List(items)) => {
                    let item = key.parse().ok().and_then(|index: usize| items.get(index));
                    let Some(item) = item else { break };
                    span = item.span.clone();
                    node = Some(item);
                }
                _ => break,
            }
        }
        span
    }
}

/// Reads and checks the metadata file that `node` names, of the model at `model`.
pub(super) fn read(
    node: &Node,
    model: &Node,
    name: &str,
    spec: Option<&ModelSpec>,
    context: &mut Context<'_>,
) -> Option<Metadata> {
    let what = format!("`{name}.model_metadata`");
    let file = source_file(context, node, &what)?;
    let text = text_of(&file, &what, context)?;
    let source = named(&file.path, &text);
    let root = tree::parse(&source, Syntax::Json, &mut context.problems)?;
    let Ok(serde_json::Value::Object(json)) = serde_json::from_str(source.inner()) else {
        let problem = Problem::error(&source, "metadata is a JSON object")
            .label(
                &(root.span.start..root.span.start + 1),
                format!("expected `{{`, found {}", root.describe()),
            )
            .help("{\"model_type\": ..., \"model_args\": {...}}");
        context.problems.push(problem);
        return None;
    };
    if let Some(entry) = root.get("model_type") {
        check_model_type(&entry.value, &source, name, spec, context);
    }
    if let Some(spec) = spec.filter(|spec| spec.needs_metadata && root.get("model_args").is_none())
    {
        let message = match root.get("model_type") {
            Some(_) => format!("the metadata of `{name}` has no `model_args`"),
            // A build makes a file even where there was none.
            None => format!("the metadata of `{name}` says nothing of its network"),
        };
        without_arguments(spec, message, &node.span, is_onnx(model), context);
    }
    Some(Metadata { file, json, source })
}

/// Warns of a network that nothing declares: its weights are compared with nothing, and nobody can run them.
fn without_arguments(
    spec: &ModelSpec,
    message: String,
    span: &Span,
    is_onnx: bool,
    context: &mut Context<'_>,
) {
    let kind = spec.kind;
    let help = match is_onnx {
        true => format!("HiTMicTools builds the {kind} from `model_args` in it, and fails without"),
        false => format!(
            "`bundle run` and HiTMicTools build the {kind} from `model_args` in it, and fail without; nothing was compared with the weights"
        ),
    };
    context
        .warn(message, span, "")
        .set_help(help)
        .set_model(spec.key)
        .set_blocks_loading();
}

/// Whether the model at `node` is named as ONNX, which has its own graph.
fn is_onnx(node: &Node) -> bool {
    let path = node.get("model_path").map(|entry| &entry.value.data);
    matches!(path, Some(Data::String(path)) if path.to_ascii_lowercase().ends_with(".onnx"))
}

fn text_of(file: &SourceFile, what: &str, context: &mut Context<'_>) -> Option<String> {
    let files = &context.surroundings.files;
    let complaint = match files.read_at_most(&file.path, MAX_METADATA_BYTES) {
        Ok(bytes) if bytes.len() as u64 > MAX_METADATA_BYTES => {
            format!("larger than {MAX_METADATA_BYTES} bytes: is this the metadata?")
        }
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => return Some(text),
            Err(error) => format!("not UTF-8 at byte {}", error.utf8_error().valid_up_to()),
        },
        Err(error) => error.to_string(),
    };
    context.error(
        format!("{what}: the file cannot be read"),
        &file.span,
        complaint,
    );
    None
}

/// HiTMicTools' `OofDetector` refuses every other type.
fn check_model_type(
    node: &Node,
    source: &Source,
    name: &str,
    spec: Option<&ModelSpec>,
    context: &mut Context<'_>,
) {
    if spec.is_none_or(|spec| spec.kind != ModelKind::RfdetrBase) {
        return;
    }
    let found = match &node.data {
        Data::String(text) if text.to_lowercase() == "rfdetrbase" => return,
        Data::String(text) => format!("\"{text}\""),
        _ => node.describe().to_owned(),
    };
    let problem = Problem::error(source, format!("`{name}` is of the wrong type"))
        .label(
            &node.span,
            format!("expected \"rfdetrbase\", found {found}"),
        )
        .help("HiTMicTools loads no other detector for this key");
    context.add(problem);
}

pub(super) fn warn_of_missing(entry: &Entry, spec: Option<&ModelSpec>, context: &mut Context<'_>) {
    if let Some(spec) = spec.filter(|spec| spec.needs_metadata) {
        let message = format!("`{}` has no `model_metadata`", spec.key);
        let is_onnx = is_onnx(&entry.value);
        without_arguments(spec, message, &entry.key_span, is_onnx, context);
    }
}
