//! The arguments that the loader passes on, checked against the catalogue.

mod classes;
mod cross;

use super::catalogue::{ArgKind, ArgSpec, COMPILE_MODES, ModelKind, ModelSpec};
use super::context::{Context, listed, misspelt};
use super::problem::{Problem, Span};
use super::tree::{Data, Entry, Node};
use crate::value::{Map, Value};

/// The argument tables of a model: `inferer_args`, `model_args`.
type Tables = (Option<Map>, Option<Map>);

/// Reads a model's argument tables.
pub(super) fn read(
    entry: &Entry,
    name: &str,
    spec: Option<&ModelSpec>,
    context: &mut Context<'_>,
) -> Tables {
    let mut table = |key: &str| match spec {
        Some(spec) if spec.arguments.table == key => catalogued(entry, name, spec, context),
        _ => free(entry, key, name, spec, context),
    };
    (table("inferer_args"), table("model_args"))
}

/// The argument that configs in the wild have beside its table instead of in it.
pub(super) fn moved_key(spec: &ModelSpec) -> Option<&'static str> {
    match spec.kind {
        ModelKind::Nafnet | ModelKind::MonaiUnet => Some("scaler_args"),
        ModelKind::FlexResNet => Some("classes"),
        _ => None,
    }
}

/// A table that the catalogue says nothing of.
fn free(
    entry: &Entry,
    key: &str,
    name: &str,
    spec: Option<&ModelSpec>,
    context: &mut Context<'_>,
) -> Option<Map> {
    let found = entry.value.get(key)?;
    let what = format!("`{name}.{key}`");
    if found.value.entries().is_none() {
        context.wrong_type(&what, &found.value, "a table");
        return None;
    }
    if let Some(spec) = spec {
        let help = match spec.arguments.table {
            "" => format!("`{name}` takes no arguments; remove the table"),
            table => format!(
                "arguments of `{name}` belong in `{table}`; those of the network, in the metadata's `model_args`"
            ),
        };
        context
            .warn(
                format!("HiTMicTools does not read {what}"),
                &found.key_span,
                "packed, but without effect",
            )
            .set_help(help);
    }
    Some(found.value.to_map(context.source, &mut context.problems))
}

/// The table that the loader passes on, with what stands beside it moved in.
fn catalogued(
    entry: &Entry,
    name: &str,
    spec: &ModelSpec,
    context: &mut Context<'_>,
) -> Option<Map> {
    let arguments = &spec.arguments;
    let table = entry.value.get(arguments.table);
    let moved = moved_key(spec).and_then(|key| entry.value.get(key));
    if table.is_none() && moved.is_none() {
        if arguments.required {
            let label = format!("expected `{}` in this table", arguments.table);
            context
                .warn(
                    format!("`{name}` has no `{}`", arguments.table),
                    &entry.key_span,
                    label,
                )
                .set_help(format!("HiTMicTools fails to load `{name}` without it"))
                .set_model(name)
                .set_blocks_loading();
        }
        return None;
    }
    let what = format!("`{name}.{}`", arguments.table);
    let inside = match table {
        None => &[],
        Some(table) => match table.value.entries() {
            Some(entries) => entries,
            None => {
                context.wrong_type(&what, &table.value, "a table");
                return None;
            }
        },
    };
    let mut entries: Vec<&Entry> = inside.iter().collect();
    if let Some(moved) = moved {
        move_in(&mut entries, moved, &what, context);
    }
    let span = table.map_or(&entry.key_span, |table| &table.key_span);
    let map = check(&entries, arguments.specs, &what, span, context);
    cross::check(&entries, spec, &what, span, context);
    Some(map)
}

/// Adds an argument that stands beside its table, and says so.
fn move_in<'n>(
    entries: &mut Vec<&'n Entry>,
    moved: &'n Entry,
    what: &str,
    context: &mut Context<'_>,
) {
    let key = moved.key.to_string();
    if let Some(inside) = entries.iter().find(|entry| entry.is(&key)) {
        let problem = Problem::error(context.source, format!("`{key}` is given twice"))
            .label(&moved.key_span, format!("beside {what}"))
            .label(&inside.key_span, "and in it")
            .help(format!(
                "keep the one in {what}, where HiTMicTools reads it"
            ));
        context.add(problem);
        return;
    }
    context
        .warn(
            format!("`{key}` belongs in {what}"),
            &moved.key_span,
            "moved there in the bundle",
        )
        .set_help("HiTMicTools ignores it here; move it to be rid of this warning");
    entries.push(moved);
}

/// Checks the entries of a table against its arguments; `span` is where the table is named.
fn check(
    entries: &[&Entry],
    specs: &[ArgSpec],
    what: &str,
    span: &Span,
    context: &mut Context<'_>,
) -> Map {
    let names: Vec<&str> = specs.iter().map(|spec| spec.name).collect();
    let mut map = Map::new();
    for entry in entries {
        let Some(spec) = specs.iter().find(|spec| entry.is(spec.name)) else {
            context.unknown_key(entry, what, &names);
            take_as_it_is(entry, &mut map, context);
            continue;
        };
        if matches!(entry.value.data, Data::Null) {
            continue;
        }
        let inner = format!("{}.{}`", what.trim_end_matches('`'), spec.name);
        match value(&entry.value, &spec.kind, &inner, &entry.key_span, context) {
            Some(value) => drop(map.insert(entry.key.clone(), value)),
            None => take_as_it_is(entry, &mut map, context),
        }
    }
    for spec in specs.iter().filter(|spec| spec.required) {
        let misspelt = misspelt(entries.iter().copied(), spec.name, &names);
        if get(entries, spec.name).is_none() && !misspelt {
            context
                .error(
                    format!("{what} has no `{}`", spec.name),
                    span,
                    format!("expected `{}` in this table", spec.name),
                )
                .set_help("HiTMicTools fails without it");
        }
    }
    map
}

/// Takes an argument that is wrong, where what HiTMicTools' bundler takes is taken.
fn take_as_it_is(entry: &Entry, map: &mut Map, context: &mut Context<'_>) {
    if context.is_lenient()
        && let Some(value) = entry.value.to_value(context.source, &mut context.problems)
    {
        map.insert(entry.key.clone(), value);
    }
}

/// The value of an argument, if it is what its kind accepts.
fn value(
    node: &Node,
    kind: &ArgKind,
    what: &str,
    key_span: &Span,
    context: &mut Context<'_>,
) -> Option<Value> {
    match (kind, &node.data) {
        (ArgKind::Int(low, high), Data::Int(x)) => {
            if (low..=high).contains(&x) {
                return Some(Value::Int(*x));
            }
            let expected = match *high {
                i64::MAX => format!("an integer of at least {low}"),
                _ => format!("an integer from {low} to {high}"),
            };
            out_of_range(node, what, &expected, context)
        }
        (ArgKind::Float(range), Data::Int(_) | Data::Float(_)) => {
            let number = number(node)?;
            if range.contains(number) {
                // An integer becomes the float it is: -0.0 is not worth keeping either.
                return Some(Value::Float(number + 0.0));
            }
            out_of_range(node, what, &range.to_string(), context)
        }
        (ArgKind::Bool, Data::Bool(x)) => Some(Value::Bool(*x)),
        (ArgKind::Choice(choices), Data::String(text)) => {
            choice(node, text, choices, what, context)
        }
        (ArgKind::CompileMode, Data::Bool(false)) => Some(Value::Bool(false)),
        (ArgKind::CompileMode, Data::String(text)) => {
            choice(node, text, COMPILE_MODES, what, context)
        }
        (ArgKind::IntToName, Data::Map(entries)) => {
            Some(classes::int_to_name(entries, what, context))
        }
        (ArgKind::NameToInt, Data::Map(entries)) => {
            Some(classes::name_to_int(entries, what, context))
        }
        (ArgKind::Table(specs), Data::Map(entries)) => {
            let entries: Vec<&Entry> = entries.iter().collect();
            Some(Value::Map(check(&entries, specs, what, key_span, context)))
        }
        _ => {
            wrong_kind(node, kind, what, context);
            None
        }
    }
}

fn wrong_kind(node: &Node, kind: &ArgKind, what: &str, context: &mut Context<'_>) {
    let expected = match kind {
        ArgKind::Int(..) => "an integer".to_owned(),
        ArgKind::Float(range) => range.to_string(),
        ArgKind::Bool => "`true` or `false`".to_owned(),
        ArgKind::Choice(choices) => format!("one of {}", listed(choices)),
        ArgKind::CompileMode => format!("`false` or one of {}", listed(COMPILE_MODES)),
        ArgKind::IntToName => "a table of class numbers to names".to_owned(),
        ArgKind::NameToInt => "a table of class names to numbers".to_owned(),
        ArgKind::Table(_) => "a table".to_owned(),
    };
    let unquote = match (kind, &node.data) {
        (ArgKind::Int(..) | ArgKind::Float(_), Data::String(text))
            if text.parse::<f64>().is_ok() =>
        {
            Some(text)
        }
        (ArgKind::Bool, Data::String(text)) if matches!(text.as_str(), "true" | "false") => {
            Some(text)
        }
        _ => None,
    };
    if let Some(problem) = context.wrong_type(what, node, &expected)
        && let Some(text) = unquote
    {
        problem.set_help(format!("write {text} without quotes"));
    }
}

fn out_of_range(
    node: &Node,
    what: &str,
    expected: &str,
    context: &mut Context<'_>,
) -> Option<Value> {
    let label = format!("expected {expected}, found {}", context.text(&node.span));
    context.error(format!("{what} is out of range"), &node.span, label);
    None
}

fn choice(
    node: &Node,
    text: &str,
    choices: &[&str],
    what: &str,
    context: &mut Context<'_>,
) -> Option<Value> {
    if choices.contains(&text) {
        return Some(Value::String(text.to_owned()));
    }
    let label = match super::context::nearest(text, choices.iter().copied()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("expected one of {}", listed(choices)),
    };
    context
        .error(
            format!("{what} is not a value that HiTMicTools knows"),
            &node.span,
            label,
        )
        .set_help(format!("accepted are {}", listed(choices)));
    None
}

fn get<'n>(entries: &[&'n Entry], key: &str) -> Option<&'n Node> {
    let entry = entries.iter().find(|entry| entry.is(key))?;
    (!matches!(entry.value.data, Data::Null)).then_some(&entry.value)
}

fn number(node: &Node) -> Option<f64> {
    match node.data {
        Data::Int(x) => Some(x as f64),
        Data::Float(x) => Some(x),
        _ => None,
    }
}
