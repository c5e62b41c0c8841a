//! One model's table: its weights, metadata, arguments and test.

use std::path::Path;

use super::args;
use super::catalogue::{self, ArgKind, MODELS, ModelKey, ModelKind, ModelSpec, is_portable_name};
use super::context::{Context, listed, misspelt, nearest};
use super::paths::source_file;
use super::problem::Problem;
use super::tree::{self, Data, Entry, Node, Syntax};
use super::{Metadata, Model, SourceFile, Test, named, read_at_most};
use crate::value::Key;

/// A larger metadata file is refused.
const MAX_METADATA_BYTES: u64 = 16 << 20;

const KEYS: &[&str] = &[
    "model_path",
    "model_metadata",
    "inferer_args",
    "model_args",
    "test",
    "allow_globals",
];
const CUSTOM_KEYS: &[&str] = &[
    "bundle_name",
    "model_path",
    "model_metadata",
    "inferer_args",
    "model_args",
    "test",
    "allow_globals",
];
const TEST_KEYS: &[&str] = &[
    "input",
    "expected",
    "labels",
    "rtol",
    "atol",
    "mismatch_ppm",
];

/// Reads the table of a model; complains and gives `None` if it makes no model.
pub(super) fn read(entry: &Entry, context: &mut Context<'_>) -> Option<Model> {
    let name = entry.key.to_string();
    let spec = catalogue::spec(&name);
    let node = &entry.value;
    let custom_name = node.get("bundle_name");
    if spec.is_none() && custom_name.is_none() {
        unknown_model(entry, &name, context);
        return None;
    }
    let key = model_key(entry, context);
    let Some(entries) = node.entries() else {
        context.wrong_type(&format!("`{name}`"), node, "a table with `model_path`");
        return None;
    };
    let bundle_name = match (spec, custom_name) {
        (Some(spec), _) => Some(spec.bundle_name.to_owned()),
        (None, Some(entry)) => bundle_name(&entry.value, &name, context),
        (None, None) => None,
    };
    check_keys(entries, &name, spec, context);
    let weights = weights(entry, &name, context);
    let extension = weights
        .as_ref()
        .and_then(|file| extension(file, &name, spec, context));
    let metadata = node
        .get("model_metadata")
        .map(|entry| metadata(&entry.value, &name, spec, context));
    if metadata.is_none() {
        warn_of_missing_metadata(entry, spec, context);
    }
    let (inferer_args, model_args) = args::read(entry, &name, spec, context);
    let test = node
        .get("test")
        .and_then(|entry| test(entry, &name, context));
    let allow_globals = node
        .get("allow_globals")
        .map(|entry| allow_globals(&entry.value, &name, context))
        .unwrap_or_default();
    let key = key?;
    Some(Model {
        kind: key.kind(),
        key,
        key_span: entry.key_span.clone(),
        bundle_name: bundle_name?,
        weights: weights?,
        extension: extension?,
        metadata: metadata.flatten(),
        inferer_args,
        model_args,
        test,
        allow_globals,
    })
}

/// Complains of files of two models that would have one name in the archive, on whatever file system it is unpacked.
pub(super) fn check_names(models: &[Model], context: &mut Context<'_>) {
    let clash = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
    for (position, model) in models.iter().enumerate() {
        for earlier in &models[..position] {
            if clash(&model.bundle_name, &earlier.bundle_name) {
                let message = format!(
                    "two models have the name `{}` in the bundle",
                    model.bundle_name
                );
                let problem = Problem::error(context.source, message)
                    .label(&model.key_span, "this one")
                    .label(&earlier.key_span, "and this one")
                    .help("give one of them another `bundle_name`");
                context.problems.push(problem);
            }
            if clash(model.key.as_str(), earlier.key.as_str()) {
                let message = "two models' keys differ only by case";
                let problem = Problem::error(context.source, message)
                    .label(&model.key_span, "this one")
                    .label(&earlier.key_span, "and this one")
                    .help("keys name folders in the bundle; rename one");
                context.problems.push(problem);
            }
        }
    }
}

/// Complains of a top-level key that is neither catalogued nor has a name of its own.
fn unknown_model(entry: &Entry, name: &str, context: &mut Context<'_>) {
    if name == "_bundle_metadata" {
        context
            .error(
                "this is the `config.yml` of a built bundle",
                &entry.key_span,
                "written by a build",
            )
            .set_help("`bundle init --from BUNDLE.zip` makes a config of a bundle");
        return;
    }
    let known = MODELS
        .iter()
        .map(|spec| spec.key)
        .chain(["tracker", "bundle"]);
    let label = match nearest(name, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "not a key that HiTMicTools knows".to_owned(),
    };
    let keys: Vec<&str> = MODELS.iter().map(|spec| spec.key).collect();
    let help = format!(
        "known are {}, `tracker` and `bundle`; a model of your own needs a `bundle_name`",
        keys.iter()
            .map(|key| format!("`{key}`"))
            .collect::<Vec<_>>()
            .join(", ")
    );
    context
        .error(format!("unknown key `{name}`"), &entry.key_span, label)
        .set_help(help);
}

fn model_key(entry: &Entry, context: &mut Context<'_>) -> Option<ModelKey> {
    let valid = match &entry.key {
        Key::String(text) => text.parse().ok(),
        Key::Int(_) => None,
    };
    if valid.is_none() {
        context
            .error(
                format!("`{}` cannot be a model's key", entry.key),
                &entry.key_span,
                "names a folder in the bundle",
            )
            .set_help(
                "use letters, digits, `_` and `-`, at most 64, and no name that Windows reserves",
            );
    }
    valid
}

fn bundle_name(node: &Node, name: &str, context: &mut Context<'_>) -> Option<String> {
    match &node.data {
        Data::String(text) if is_portable_name(text) => Some(text.clone()),
        Data::String(_) => {
            context
                .error(format!("`{name}.bundle_name` cannot name a file"), &node.span, "expected a file name without extension")
                .set_help("use letters, digits, `.`, `_` and `-`, at most 100, no point or dash in front, and no name that Windows reserves");
            None
        }
        _ => {
            context.wrong_type(&format!("`{name}.bundle_name`"), node, "text");
            None
        }
    }
}

fn check_keys(entries: &[Entry], name: &str, spec: Option<&ModelSpec>, context: &mut Context<'_>) {
    let what = format!("`{name}`");
    let Some(spec) = spec else {
        return context.unknown_keys(entries, &what, CUSTOM_KEYS);
    };
    for entry in entries {
        let moved = args::moved_key(spec).is_some_and(|key| entry.is(key));
        if entry.is("bundle_name") {
            context
                .error(
                    format!("the name of {what} is fixed"),
                    &entry.key_span,
                    "HiTMicTools expects its own name",
                )
                .set_help(format!(
                    "remove the key; the name is `{}`",
                    spec.bundle_name
                ));
        } else if !moved && !KEYS.iter().any(|key| entry.is(key)) {
            match argument_home(entry, spec) {
                Some(table) => {
                    let label = format!("expected in `{table}`");
                    context
                        .error(
                            format!("`{}` is an argument, not a key of {what}", entry.key),
                            &entry.key_span,
                            label,
                        )
                        .set_help(format!("move it to `{name}.{table}`"));
                }
                None => context.unknown_key(entry, &what, KEYS),
            }
        }
    }
}

/// Where an argument that stands beside its table belongs.
fn argument_home(entry: &Entry, spec: &ModelSpec) -> Option<String> {
    let arguments = &spec.arguments;
    arguments.specs.iter().find_map(|arg| match &arg.kind {
        _ if entry.is(arg.name) => Some(arguments.table.to_owned()),
        ArgKind::Table(inner) if inner.iter().any(|x| entry.is(x.name)) => {
            Some(format!("{}.{}", arguments.table, arg.name))
        }
        _ => None,
    })
}

fn weights(entry: &Entry, name: &str, context: &mut Context<'_>) -> Option<SourceFile> {
    match entry.value.get("model_path") {
        Some(path) => source_file(context, &path.value, &format!("`{name}.model_path`")),
        None if misspelt(
            entry.value.entries().unwrap_or_default().iter(),
            "model_path",
            KEYS,
        ) =>
        {
            None
        }
        None if misspelt(
            entry.value.entries().unwrap_or_default().iter(),
            "model_path",
            CUSTOM_KEYS,
        ) =>
        {
            None
        }
        None => {
            context
                .error(
                    format!("`{name}` has no `model_path`"),
                    &entry.key_span,
                    "expected `model_path` in this table",
                )
                .set_help("add the path of the weights: model_path = \"models/...\"");
            None
        }
    }
}

/// The extension of the weights, which the archive keeps; complains or warns where the loader does not take it.
fn extension(
    file: &SourceFile,
    name: &str,
    spec: Option<&ModelSpec>,
    context: &mut Context<'_>,
) -> Option<String> {
    let extension = Path::new(&file.path)
        .extension()
        .and_then(|x| x.to_str())
        .unwrap_or_default();
    let valid =
        (1..=16).contains(&extension.len()) && extension.bytes().all(|x| x.is_ascii_alphanumeric());
    if !valid {
        context
            .error(
                format!("`{name}.model_path`: the file's type is unknown"),
                &file.span,
                "expected a file extension",
            )
            .set_help(
                "name the file with its type: `.pth`, `.safetensors`, `.onnx`, `.pkl`, `.joblib`",
            );
        return None;
    }
    let lower = extension.to_ascii_lowercase();
    let Some(spec) = spec else {
        return Some(extension.to_owned());
    };
    let loadable = spec.loadable.contains(&lower.as_str());
    let accepted = || {
        let named: Vec<String> = spec.loadable.iter().map(|x| format!(".{x}")).collect();
        listed(&named.iter().map(String::as_str).collect::<Vec<_>>())
    };
    if spec.kind == ModelKind::PiClassifier && !loadable {
        context
            .error(
                format!("`{name}.model_path`: `.{extension}` is no type of classifier"),
                &file.span,
                "the loader refuses this type",
            )
            .set_help(format!("accepted are {}", accepted()));
        return None;
    }
    if matches!(lower.as_str(), "onnx" | "safetensors") && !loadable {
        context
            .warn(
                format!("HiTMicTools cannot load `.{extension}` weights for `{name}`"),
                &file.span,
                "loaded with `torch.load` there",
            )
            .set_help(format!(
                "it is packed all the same; HiTMicTools wants `.{}`",
                spec.loadable[0]
            ));
    }
    Some(extension.to_owned())
}

fn warn_of_missing_metadata(entry: &Entry, spec: Option<&ModelSpec>, context: &mut Context<'_>) {
    if let Some(spec) = spec.filter(|spec| spec.needs_metadata) {
        context
            .warn(
                format!("`{}` has no `model_metadata`", spec.key),
                &entry.key_span,
                "",
            )
            .set_help(format!(
                "HiTMicTools builds the {} from the `model_args` in it, and fails without",
                spec.kind
            ));
    }
}

/// Reads and checks a metadata file.
fn metadata(
    node: &Node,
    name: &str,
    spec: Option<&ModelSpec>,
    context: &mut Context<'_>,
) -> Option<Metadata> {
    let what = format!("`{name}.model_metadata`");
    let file = source_file(context, node, &what)?;
    let text = metadata_text(&file, &what, context)?;
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
        context
            .warn(
                format!("the metadata of `{name}` has no `model_args`"),
                &node.span,
                "",
            )
            .set_help(format!(
                "HiTMicTools builds the {} from them, and fails without",
                spec.kind
            ));
    }
    Some(Metadata { file, json })
}

fn metadata_text(file: &SourceFile, what: &str, context: &mut Context<'_>) -> Option<String> {
    let complaint = match read_at_most(&file.path, MAX_METADATA_BYTES) {
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
    source: &super::Source,
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
    context.problems.push(problem);
}

fn test(entry: &Entry, name: &str, context: &mut Context<'_>) -> Option<Test> {
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
        test_file(context, &entry.value, &format!("`{name}.test.{key}`"))
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

/// A file of a test vector; its extension is kept in the archive, so it must have one.
fn test_file(context: &mut Context<'_>, node: &Node, what: &str) -> Option<SourceFile> {
    let file = source_file(context, node, what)?;
    let extension = file
        .path
        .extension()
        .and_then(|x| x.to_str())
        .unwrap_or_default();
    if extension.is_empty() || !extension.bytes().all(|x| x.is_ascii_alphanumeric()) {
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

fn allow_globals(node: &Node, name: &str, context: &mut Context<'_>) -> Vec<String> {
    let what = format!("`{name}.allow_globals`");
    let Data::List(items) = &node.data else {
        context.wrong_type(
            &what,
            node,
            "a list of texts such as \"package.module.name\"",
        );
        return Vec::new();
    };
    let mut globals = Vec::new();
    for item in items {
        let Data::String(text) = &item.data else {
            context.wrong_type(&what, item, "text such as \"package.module.name\"");
            continue;
        };
        let part =
            |part: &str| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_');
        if text.contains('.') && text.split('.').all(part) {
            globals.push(text.clone());
        } else {
            context
                .error(
                    format!("{what}: this names no global"),
                    &item.span,
                    "expected \"package.module.name\"",
                )
                .set_help("names are matched whole; there are no patterns");
        }
    }
    globals.sort_unstable();
    globals.dedup();
    globals
}
