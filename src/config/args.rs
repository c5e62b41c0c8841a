//! The arguments that the loader passes on, checked against the catalogue.

use super::catalogue::{ArgKind, ArgSpec, COMPILE_MODES, ModelKind, ModelSpec};
use super::context::{Context, listed, misspelt};
use super::problem::{Problem, Span};
use super::tree::{Data, Entry, Node};
use crate::value::{Key, Map, Value};

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
                .set_help(format!("HiTMicTools fails to load `{name}` without it"));
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
    cross_check(&entries, spec, &what, span, context);
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
        context.problems.push(problem);
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
            continue;
        };
        if matches!(entry.value.data, Data::Null) {
            continue;
        }
        let inner = format!("{}.{}`", what.trim_end_matches('`'), spec.name);
        if let Some(value) = value(&entry.value, &spec.kind, &inner, &entry.key_span, context) {
            map.insert(entry.key.clone(), value);
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
        (ArgKind::IntToName, Data::Map(entries)) => Some(int_to_name(entries, what, context)),
        (ArgKind::NameToInt, Data::Map(entries)) => Some(name_to_int(entries, what, context)),
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

/// `0: single-cell`: class numbers to names.
fn int_to_name(entries: &[Entry], what: &str, context: &mut Context<'_>) -> Value {
    let mut map = Map::new();
    for entry in entries {
        let Key::Int(number) = entry.key else {
            let found = context.text(&entry.key_span).to_owned();
            let problem = context.error(
                format!("{what} maps class numbers to names"),
                &entry.key_span,
                format!("expected a class number, found {found}"),
            );
            match (&entry.key, &entry.value.data) {
                (Key::String(text), _) if text.parse::<i64>().is_ok() => {
                    problem.set_help(format!("write {text} without quotes"));
                }
                (_, Data::Int(number)) => {
                    problem.set_help(format!("turn it round: {number} = \"{}\"", entry.key));
                }
                _ => {}
            }
            continue;
        };
        if number < 0 {
            let label = format!("expected a number of at least 0, found {number}");
            context.error(
                format!("{what} has an impossible class number"),
                &entry.key_span,
                label,
            );
        }
        match &entry.value.data {
            Data::String(name) => {
                map.insert(entry.key.clone(), Value::String(name.clone()));
            }
            _ => drop(context.wrong_type(what, &entry.value, "the class's name, as text")),
        }
    }
    Value::Map(map)
}

/// `oof: 0`: class names to numbers.
fn name_to_int(entries: &[Entry], what: &str, context: &mut Context<'_>) -> Value {
    let mut map = Map::new();
    for entry in entries {
        if let Key::Int(number) = entry.key {
            let problem = context.error(
                format!("{what} maps class names to numbers"),
                &entry.key_span,
                "expected a class name, found a number",
            );
            if let Data::String(name) = &entry.value.data {
                problem.set_help(format!("turn it round: {name} = {number}"));
            }
            continue;
        }
        match entry.value.data {
            Data::Int(number) if number >= 0 => {
                map.insert(entry.key.clone(), Value::Int(number));
            }
            Data::Int(_) => drop(out_of_range(
                &entry.value,
                what,
                "a class number of at least 0",
                context,
            )),
            _ => drop(context.wrong_type(what, &entry.value, "the class's number")),
        }
    }
    Value::Map(map)
}

/// What no argument shows alone.
fn cross_check(
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
                .set_help("HiTMicTools names what it classifies after them, and fails without");
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
                context.problems.push(problem);
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
