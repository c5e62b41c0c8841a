//! What differs between two locks, in the words of the config and of the ZIP.

use std::collections::{HashMap, HashSet};
use std::fmt;

use serde::Serialize;

use crate::archive::BundlePath;
use crate::digest::Digest;
use crate::value::{Map, Value};

use super::{Layout, LockedFacts, LockedModel, Lockfile};

/// One difference between an old lock and a new one.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Change {
    FileAdded {
        path: BundlePath,
        new: Digest,
    },
    FileRemoved {
        path: BundlePath,
        old: Digest,
    },
    FileChanged {
        path: BundlePath,
        old: Digest,
        new: Digest,
        /// Known to differ by CRLF and LF alone.
        line_endings: bool,
        /// Weights whose tensors are the same as before.
        resaved: bool,
    },
    /// The same bytes come from another file.
    SourceRenamed {
        path: BundlePath,
        old: Option<String>,
        new: Option<String>,
    },
    ModelAdded {
        model: String,
    },
    ModelRemoved {
        model: String,
    },
    /// A key of the config, dotted.
    Setting {
        key: String,
        old: Option<Value>,
        new: Option<Value>,
    },
    /// What the weights were found to be, dotted.
    Fact {
        key: String,
        old: Option<Value>,
        new: Option<Value>,
    },
    /// The weights hold other tensors, or it is not known what they held.
    Tensors {
        model: String,
        old: Option<Digest>,
        new: Option<Digest>,
    },
    /// The weights name another pickle global, or no longer name one.
    Global {
        model: String,
        global: String,
        added: bool,
    },
    /// The models, or the keys of a table, stand in another order.
    Order {
        key: String,
    },
}

impl Lockfile {
    /// What changes from `self` to `new`, `[archive]` left aside; empty if and only if they have the
    /// same content. `config.yml` is not listed where only what is named anyway changes it.
    pub fn changes(&self, new: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        self.head_changes(new, &mut changes);
        self.model_changes(new, &mut changes);
        let explained = !changes.is_empty();
        self.file_changes(new, explained, &mut changes);
        changes
    }

    fn head_changes(&self, new: &Self, changes: &mut Vec<Change>) {
        let text = |value: Option<String>| value.map(Value::String);
        let layout = |lock: &Self| match lock.layout {
            Layout::Canonical => Value::Int(1),
            Layout::Foreign => Value::String("foreign".to_owned()),
        };
        let created = |lock: &Self| text(lock.created.map(|created| created.to_string()));
        setting(changes, "layout", Some(layout(self)), Some(layout(new)));
        setting(
            changes,
            "config",
            text(Some(self.config.clone())),
            text(Some(new.config.clone())),
        );
        setting(changes, "bundle.created", created(self), created(new));
        map_changes(changes, "bundle.about", &self.about, &new.about);
    }

    fn model_changes(&self, new: &Self, changes: &mut Vec<Change>) {
        for (key, old_model) in &self.models {
            match new.models.get(key) {
                Some(new_model) => one_model(changes, key, old_model, new_model),
                None => changes.push(Change::ModelRemoved { model: key.clone() }),
            }
        }
        for key in new.models.keys() {
            if !self.models.contains_key(key) {
                changes.push(Change::ModelAdded { model: key.clone() });
            }
        }
        let kept_old = self
            .models
            .keys()
            .filter(|key| new.models.contains_key(*key));
        let kept_new = new
            .models
            .keys()
            .filter(|key| self.models.contains_key(*key));
        if !kept_old.eq(kept_new) {
            changes.push(Change::Order {
                key: "models".to_owned(),
            });
        }
    }

    fn file_changes(&self, new: &Self, explained: bool, changes: &mut Vec<Change>) {
        let old_files: HashMap<_, _> = self.files.iter().map(|file| (&file.path, file)).collect();
        let new_files: HashMap<_, _> = new.files.iter().map(|file| (&file.path, file)).collect();
        let resaved = self.same_tensors(new);
        for old in &self.files {
            let path = old.path.clone();
            let Some(new) = new_files.get(&path) else {
                let old = old.contents.blake3;
                changes.push(Change::FileRemoved { path, old });
                continue;
            };
            let is_derived = path.as_str() == "config.yml";
            if old.contents != new.contents && !(is_derived && explained) {
                let (old, new) = (old.contents.blake3, new.contents.blake3);
                changes.push(Change::FileChanged {
                    resaved: resaved.contains(&path),
                    path,
                    old,
                    new,
                    line_endings: false,
                });
            } else if old.source != new.source {
                let (old, new) = (old.source.clone(), new.source.clone());
                changes.push(Change::SourceRenamed { path, old, new });
            }
        }
        for file in &new.files {
            if !old_files.contains_key(&file.path) {
                let (path, new) = (file.path.clone(), file.contents.blake3);
                changes.push(Change::FileAdded { path, new });
            }
        }
    }
}

impl Lockfile {
    /// The weights whose tensors are the same in both.
    fn same_tensors(&self, new: &Self) -> Vec<BundlePath> {
        let models = self.models.iter();
        let same = models.filter_map(|(key, old)| {
            let new = new.models.get(key)?;
            let same = old.facts.tensors.is_some() && old.facts.tensors == new.facts.tensors;
            new.weights.clone().filter(|_| same)
        });
        same.collect()
    }
}

fn one_model(changes: &mut Vec<Change>, key: &str, old: &LockedModel, new: &LockedModel) {
    for (name, old, new) in [
        ("weights", &old.weights, &new.weights),
        ("metadata", &old.metadata, &new.metadata),
    ] {
        let text =
            |path: &Option<BundlePath>| path.as_ref().map(|path| Value::String(path.to_string()));
        setting(changes, &format!("{key}.{name}"), text(old), text(new));
    }
    for (name, old, new) in [
        ("inferer_args", &old.inferer_args, &new.inferer_args),
        ("model_args", &old.model_args, &new.model_args),
    ] {
        table_changes(changes, &format!("{key}.{name}"), old, new);
    }
    fact_changes(changes, key, old, new);
    let globals = |model: &LockedModel| {
        let names = model.allow_globals.iter().cloned();
        (!model.allow_globals.is_empty()).then(|| Value::List(names.map(Value::String).collect()))
    };
    setting(
        changes,
        &format!("{key}.allow_globals"),
        globals(old),
        globals(new),
    );
    let tolerances = |model: &LockedModel| {
        let test = model.test.as_ref();
        test.map(|test| test.tolerances.clone()).unwrap_or_default()
    };
    map_changes(
        changes,
        &format!("{key}.test"),
        &tolerances(old),
        &tolerances(new),
    );
}

fn fact_changes(changes: &mut Vec<Change>, key: &str, old: &LockedModel, new: &LockedModel) {
    let (old, new) = (&old.facts, &new.facts);
    let mut found = Vec::new();
    let text = |text: &Option<String>| text.clone().map(Value::String);
    setting(
        &mut found,
        &format!("{key}.architecture"),
        text(&old.architecture),
        text(&new.architecture),
    );
    table_changes(
        &mut found,
        &format!("{key}.architecture_args"),
        &old.architecture_args,
        &new.architecture_args,
    );
    let number = |number: Option<u64>| number.map(|number| Value::Int(number as i64));
    setting(
        &mut found,
        &format!("{key}.parameters"),
        number(old.parameters),
        number(new.parameters),
    );
    setting(
        &mut found,
        &format!("{key}.dtype"),
        text(&old.dtype),
        text(&new.dtype),
    );
    changes.extend(found.into_iter().map(|change| match change {
        Change::Setting { key, old, new } => Change::Fact { key, old, new },
        other => other,
    }));
    if old.tensors != new.tensors {
        changes.push(Change::Tensors {
            model: key.to_owned(),
            old: old.tensors,
            new: new.tensors,
        });
    }
    for (names, others, added) in [
        (&new.globals, &old.globals, true),
        (&old.globals, &new.globals, false),
    ] {
        let differing = names.iter().filter(|name| !others.contains(name));
        changes.extend(differing.map(|name| Change::Global {
            model: key.to_owned(),
            global: name.clone(),
            added,
        }));
    }
    let named = |facts: &LockedFacts| facts.globals.iter().cloned().collect::<HashSet<_>>();
    if old.globals != new.globals && named(old) == named(new) {
        let key = format!("{key}.globals");
        changes.push(Change::Order { key });
    }
}

/// As [`map_changes`], of tables that may not be there.
fn table_changes(changes: &mut Vec<Change>, key: &str, old: &Option<Map>, new: &Option<Map>) {
    match (old, new) {
        (Some(old), Some(new)) => map_changes(changes, key, old, new),
        _ => {
            let whole = |map: &Option<Map>| map.clone().map(Value::Map);
            setting(changes, key, whole(old), whole(new));
        }
    }
}

fn map_changes(changes: &mut Vec<Change>, prefix: &str, old: &Map, new: &Map) {
    for (key, old_item) in old {
        let name = format!("{prefix}.{key}");
        match (old_item, new.get(key)) {
            (Value::Map(old), Some(Value::Map(new))) => map_changes(changes, &name, old, new),
            (old, new) => setting(changes, &name, Some(old.clone()), new.cloned()),
        }
    }
    for (key, item) in new {
        if !old.contains_key(key) {
            setting(
                changes,
                &format!("{prefix}.{key}"),
                None,
                Some(item.clone()),
            );
        }
    }
    let kept_old = old.keys().filter(|key| new.contains_key(*key));
    let kept_new = new.keys().filter(|key| old.contains_key(*key));
    if !kept_old.eq(kept_new) {
        changes.push(Change::Order {
            key: prefix.to_owned(),
        });
    }
}

fn setting(changes: &mut Vec<Change>, key: &str, old: Option<Value>, new: Option<Value>) {
    let same = match (&old, &new) {
        (Some(old), Some(new)) => super::same_value(old, new),
        (None, None) => true,
        _ => false,
    };
    if !same {
        changes.push(Change::Setting {
            key: key.to_owned(),
            old,
            new,
        });
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |digest: &Digest| digest.to_string()[..12].to_owned();
        match self {
            Self::FileAdded { path, new } => write!(f, "{path}: new file, {}", short(new)),
            Self::FileRemoved { path, old } => write!(f, "{path}: removed, was {}", short(old)),
            Self::FileChanged {
                path,
                old,
                new,
                line_endings,
                resaved,
            } => {
                let (old, new) = (short(old), short(new));
                write!(f, "{path}: content changed, {old} -> {new}")?;
                match (line_endings, resaved) {
                    (true, _) => f.write_str(
                        " (only line endings: tell git to leave them, `-text` in .gitattributes)",
                    ),
                    (_, true) => f.write_str(" (re-saved, same weights)"),
                    (false, false) => Ok(()),
                }
            }
            Self::Tensors { model, old, new } => {
                let text =
                    |digest: &Option<Digest>| digest.as_ref().map_or("not known".to_owned(), short);
                write!(f, "{model}: other tensors, {} -> {}", text(old), text(new))
            }
            Self::Global {
                model,
                global,
                added,
            } => match added {
                true => write!(f, "{model}: its pickle names `{global}`, which it did not"),
                false => write!(f, "{model}: its pickle no longer names `{global}`"),
            },
            Self::SourceRenamed { path, old, new } => {
                let name = |source: &Option<String>| source.clone().unwrap_or("none".to_owned());
                write!(f, "{path}: comes from {}, was {}", name(new), name(old))
            }
            Self::ModelAdded { model } => write!(f, "{model}: new model"),
            Self::ModelRemoved { model } => write!(f, "{model}: model removed"),
            Self::Setting { key, old, new } | Self::Fact { key, old, new } => {
                let text = |value: &Option<Value>| match value {
                    Some(value) => super::render::value(value),
                    None => "not set".to_owned(),
                };
                write!(f, "{key}: {} -> {}", text(old), text(new))
            }
            Self::Order { key } => write!(f, "{key}: other order"),
        }
    }
}
