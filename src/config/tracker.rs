//! btrack's settings: a YAML file copied as it is, or a JSON file rewritten as YAML; sizes of matrices checked.

use super::context::{Context, misspelt};
use super::paths::source_file;
use super::problem::{Problem, Source, Span};
use super::tree::{self, Data, Entry, Node, Syntax};
use super::{SourceFile, Tracker, named};
use crate::value::{Map, Value};
use crate::yaml;

/// A larger file is refused.
const MAX_TRACKER_BYTES: u64 = 4 << 20;

/// btrack's own JSON names the parts of `TrackerConfig` so; its keyword arguments, which HiTMicTools passes, are the second names.
const LEGACY_PARTS: &[(&str, &str)] = &[
    ("MotionModel", "motion_model"),
    ("ObjectModel", "object_model"),
    ("HypothesisModel", "hypothesis_model"),
];

pub(super) fn read(entry: &Entry, context: &mut Context<'_>) -> Option<Tracker> {
    let node = &entry.value;
    let Some(entries) = node.entries() else {
        context.wrong_type("`tracker`", node, "a table with `config_path`");
        return None;
    };
    context.unknown_keys(entries, "`tracker`", &["config_path"]);
    let Some(path) = node.get("config_path") else {
        if misspelt(entries.iter(), "config_path", &["config_path"]) {
            return None;
        }
        context
            .error(
                "`tracker` has no `config_path`",
                &entry.key_span,
                "expected `config_path` in this table",
            )
            .set_help("add the path of btrack's settings: config_path = \"tracking_config.yml\"");
        return None;
    };
    let file = source_file(context, &path.value, "`tracker.config_path`")?;
    let syntax = syntax_of(&file, context)?;
    settings(file, syntax, context)
}

/// The tracker's settings in a packed bundle, whose config does not name them. HiTMicTools' bundler packs JSON under the
/// name of YAML, which mostly is YAML too.
pub(super) fn read_packed(name: &str, context: &mut Context<'_>) -> Option<Tracker> {
    let path = context.folder().join(name);
    context.surroundings.files.kind(&path).ok()?;
    let file = SourceFile {
        written: name.to_owned(),
        path,
        span: 0..0,
    };
    settings(file, Syntax::PyYaml, context)
}

fn settings(file: SourceFile, syntax: Syntax, context: &mut Context<'_>) -> Option<Tracker> {
    let bytes = contents(&file.path, &file.span, context)?;
    let text = match std::str::from_utf8(&bytes) {
        Ok(text) => text,
        Err(error) => {
            let label = format!("not UTF-8 at byte {}", error.valid_up_to());
            context.error(
                "`tracker.config_path`: the file cannot be read",
                &file.span,
                label,
            );
            return None;
        }
    };
    let source = named(&file.path, text);
    let mut problems = Vec::new();
    let root = tree::parse(&source, syntax, &mut problems);
    let settings = root
        .as_ref()
        .map(|root| check(&source, root, &mut problems));
    let yaml = match (syntax, settings) {
        (Syntax::Json, Some(settings)) => Some(as_yaml(settings, &source, &mut problems)),
        (_, Some(_)) => Some(bytes),
        // HiTMicTools' bundler does not look into it.
        (_, None) => context.is_lenient().then_some(bytes),
    };
    let is_taken = problems.is_empty() || context.is_lenient();
    for problem in problems {
        context.add(problem);
    }
    yaml.filter(|_| is_taken).map(|yaml| Tracker { file, yaml })
}

fn syntax_of(file: &SourceFile, context: &mut Context<'_>) -> Option<Syntax> {
    match file.extension() {
        Some("yml" | "yaml") => Some(Syntax::Yaml),
        Some("json") => Some(Syntax::Json),
        _ => {
            context
                .error(
                    "`tracker.config_path`: the file's type is unknown",
                    &file.span,
                    "expected `.yml`, `.yaml` or `.json`",
                )
                .set_help("HiTMicTools reads YAML; btrack's own JSON is rewritten as YAML");
            context.is_lenient().then_some(Syntax::PyYaml)
        }
    }
}

fn contents(path: &std::path::Path, span: &Span, context: &mut Context<'_>) -> Option<Vec<u8>> {
    let files = &context.surroundings.files;
    let complaint = match files.read_at_most(path, MAX_TRACKER_BYTES) {
        Ok(bytes) if bytes.len() as u64 <= MAX_TRACKER_BYTES => return Some(bytes),
        Ok(_) => format!("larger than {MAX_TRACKER_BYTES} bytes: is this the tracker's config?"),
        Err(error) => error.to_string(),
    };
    context.error(
        "`tracker.config_path`: the file cannot be read",
        span,
        complaint,
    );
    None
}

/// Checks what HiTMicTools' `TrackingConfigValidator` checks; gives the table that holds the settings.
fn check<'n>(source: &Source, root: &'n Node, problems: &mut Vec<Problem>) -> &'n Node {
    let start = root.span.start..root.span.start;
    if root.entries().is_none() {
        let problem = Problem::error(source, "the tracker's settings are a table").label(
            &start,
            format!("expected a table, found {}", root.describe()),
        );
        problems.push(problem);
        return root;
    }
    let legacy = root.get("TrackerConfig");
    let (settings, motion) = match legacy {
        Some(legacy) => (&legacy.value, legacy.value.get("MotionModel")),
        None => (root, root.get("motion_model")),
    };
    match motion {
        Some(motion) => check_motion(source, motion, problems),
        None => {
            let problem = Problem::error(source, "the tracker has no motion model")
                .label(&start, "expected `motion_model` at the top level")
                .help("HiTMicTools fails without it");
            problems.push(problem);
        }
    }
    settings
}

fn check_motion(source: &Source, motion: &Entry, problems: &mut Vec<Problem>) {
    let mut size = |key: &str| {
        let found = motion.value.get(key).map(|entry| &entry.value);
        if let Some(Node {
            data: Data::Int(x), ..
        }) = found
            && (1..=1000).contains(x)
        {
            return Some(*x as usize);
        }
        let span = found.map_or(&motion.key_span, |node| &node.span);
        let problem = Problem::error(
            source,
            format!("the motion model's `{key}` is missing or wrong"),
        )
        .label(span, format!("expected `{key}`, an integer from 1 to 1000"));
        problems.push(problem);
        None
    };
    let (measurements, states) = (size("measurements"), size("states"));
    let (Some(m), Some(s)) = (measurements, states) else {
        return;
    };
    let matrices = [
        ("A", s * s, "states * states"),
        ("H", m * s, "measurements * states"),
        ("P", s * s, "states * states"),
        ("R", m * m, "measurements * measurements"),
        ("G", s, "states"),
    ];
    for (name, length, formula) in matrices {
        check_matrix(source, motion, name, (length, formula), problems);
    }
}

fn check_matrix(
    source: &Source,
    motion: &Entry,
    name: &str,
    (length, formula): (usize, &str),
    problems: &mut Vec<Problem>,
) {
    let matrix = motion
        .value
        .get(name)
        .and_then(|entry| entry.value.get("matrix"));
    let Some(matrix) = matrix else {
        let span = motion
            .value
            .get(name)
            .map_or(&motion.key_span, |entry| &entry.key_span);
        let problem = Problem::error(source, format!("the motion model has no matrix `{name}`"))
            .label(
                span,
                format!("expected `{name}.matrix`, a list of {length} numbers"),
            );
        problems.push(problem);
        return;
    };
    let items = match &matrix.value.data {
        Data::List(items) => items.as_slice(),
        _ => &[],
    };
    let wrong = items
        .iter()
        .find(|item| !matches!(item.data, Data::Int(_) | Data::Float(_) | Data::Invalid));
    if let Some(item) = wrong {
        let problem = Problem::error(
            source,
            format!("matrix `{name}` holds something else than numbers"),
        )
        .label(
            &item.span,
            format!("expected a number, found {}", item.describe()),
        );
        problems.push(problem);
    }
    if items.len() != length {
        let label = format!(
            "expected {length} numbers ({formula}), found {}",
            items.len()
        );
        let problem = Problem::error(source, format!("matrix `{name}` has the wrong size"))
            .label(&matrix.key_span, label);
        problems.push(problem);
    }
}

/// The settings as YAML in the shape that HiTMicTools passes to btrack.
fn as_yaml(settings: &Node, source: &Source, problems: &mut Vec<Problem>) -> Vec<u8> {
    let mut map = Map::new();
    for (key, value) in settings.to_map(source, problems) {
        let name = key.to_string();
        let part = LEGACY_PARTS.iter().find(|(legacy, _)| *legacy == name);
        match part {
            // btrack takes an empty model for none.
            Some(_) if matches!(&value, Value::Map(map) if map.is_empty()) => {}
            Some((_, modern)) => drop(map.insert((*modern).into(), value)),
            None => drop(map.insert(key, value)),
        }
    }
    yaml::to_string(&map).into_bytes()
}
