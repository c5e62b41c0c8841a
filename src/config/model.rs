//! One model's table: its weights, metadata, arguments and test.

use super::catalogue::{self, ArgKind, MODELS, ModelKey, ModelKind, ModelSpec, is_portable_name};
use super::context::{Context, listed, misspelt, nearest};
use super::paths::source_file;
use super::problem::Problem;
use super::tree::{Data, Entry, Node};
use super::{Model, SourceFile, args, metadata, test_vector};
use crate::value::Key;

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

/// Reads the table of a model; complains and gives `None` if it makes no model.
pub(super) fn read(entry: &Entry, context: &mut Context<'_>) -> Option<Model> {
    let name = entry.key.to_string();
    let spec = catalogue::spec(&name);
    let node = &entry.value;
    let custom_name = node.get("bundle_name");
    if spec.is_none() && custom_name.is_none() && !context.is_packed() {
        unknown_model(entry, &name, context);
        return None;
    }
    let key = model_key(entry, context);
    let Some(entries) = node.entries() else {
        let what = format!("`{name}`");
        context.strictly(|context| {
            context
                .wrong_type(&what, node, "a table with `model_path`")
                .is_some()
        });
        return None;
    };
    let bundle_name = match (spec, custom_name) {
        (Some(spec), _) => Some(spec.bundle_name.to_owned()),
        (None, Some(entry)) => bundle_name(&entry.value, &name, context),
        // In a packed bundle the weights carry the name.
        (None, None) => packed_name(node),
    };
    check_keys(entries, &name, spec, context);
    let weights = weights(entry, &name, context);
    let extension = weights
        .as_ref()
        .and_then(|file| extension(file, &name, spec, context));
    let metadata = node
        .get("model_metadata")
        .map(|entry| metadata::read(&entry.value, node, &name, spec, context));
    if metadata.is_none() {
        metadata::warn_of_missing(entry, spec, context);
    }
    let (inferer_args, model_args) = args::read(entry, &name, spec, context);
    let test = node
        .get("test")
        .and_then(|entry| test_vector::read(entry, &name, context));
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

fn packed_name(node: &Node) -> Option<String> {
    match &node.get("model_path")?.value.data {
        Data::String(path) => {
            let stem = std::path::Path::new(path).file_stem()?.to_str()?;
            is_portable_name(stem).then(|| stem.to_owned())
        }
        _ => None,
    }
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
                context.add(problem);
            }
            if clash(model.key.as_str(), earlier.key.as_str()) {
                let message = "two models' keys differ only by case";
                let problem = Problem::error(context.source, message)
                    .label(&model.key_span, "this one")
                    .label(&earlier.key_span, "and this one")
                    .help("keys name folders in the bundle; rename one");
                context.add(problem);
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
        Some(path) => {
            let what = format!("`{name}.model_path`");
            context.strictly(|context| source_file(context, &path.value, &what))
        }
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
    let Some(extension) = file.extension() else {
        context
            .error(
                format!("`{name}.model_path`: the file's type is unknown"),
                &file.span,
                "expected a file extension",
            )
            .set_help(
                "name the file with its type: `.pth`, `.safetensors`, `.onnx`, `.pkl`, `.joblib`",
            );
        // HiTMicTools' bundler calls all weights of networks so.
        let network = spec.filter(|spec| spec.kind != ModelKind::PiClassifier);
        return network
            .filter(|_| context.is_lenient())
            .map(|_| "pth".to_owned());
    };
    if let Some(spec) = spec {
        check_loadable(file, extension, name, spec, context)?;
    }
    Some(extension.to_owned())
}

/// Complains of a type that the loader refuses by its name, and warns of one that it cannot read.
fn check_loadable(
    file: &SourceFile,
    extension: &str,
    name: &str,
    spec: &ModelSpec,
    context: &mut Context<'_>,
) -> Option<()> {
    let lower = extension.to_ascii_lowercase();
    if spec.loadable.contains(&lower.as_str()) {
        return Some(());
    }
    if spec.kind == ModelKind::PiClassifier {
        let accepted: Vec<String> = spec.loadable.iter().map(|x| format!(".{x}")).collect();
        let accepted: Vec<&str> = accepted.iter().map(String::as_str).collect();
        context
            .error(
                format!("`{name}.model_path`: `.{extension}` is no type of classifier"),
                &file.span,
                "the loader refuses this type",
            )
            .set_help(format!("accepted are {}", listed(&accepted)));
        return context.is_lenient().then_some(());
    }
    if matches!(lower.as_str(), "onnx" | "safetensors") {
        context
            .warn(
                format!("HiTMicTools cannot load `.{extension}` weights for `{name}`"),
                &file.span,
                "loaded with `torch.load` there",
            )
            .set_help(format!(
                "it is packed all the same; HiTMicTools wants `.{}`",
                spec.loadable[0]
            ))
            .set_model(name)
            .set_blocks_loading();
    }
    Some(())
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
