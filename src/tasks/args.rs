//! The arguments of tasks, read from the tables of a bundle's config: HiTMicTools' names, bounds and defaults.
//!
//! A config is checked when a bundle is built from it; someone else's bundle may hold anything.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::Task;
use crate::config::catalogue;
use crate::image::{Percentiles, ScaleMethod};
use crate::value::{Key, Map, Value};
use crate::wording::nearest;

/// The largest side of a window or region: its weights take 256 MiB.
const LARGEST_SIDE: i64 = 8192;

/// How many regions HiTMicTools' classifier takes at a time unless it is told.
const BATCH_SIZE: usize = 1024;

/// What HiTMicTools' newer classes also take, and what changes no number: a mode of `torch.compile`.
const WITHOUT_EFFECT: &str = "compile_mode";

/// The arguments of focus restoration and segmentation: `inferer_args`.
#[derive(Clone, Debug, PartialEq)]
pub struct FrameArgs {
    /// The side of a window, in pixels.
    pub patch_size: usize,
    /// By which share of their side neighbouring windows overlap: at least 0, below 1.
    pub overlap_ratio: f64,
    pub scale: ScaleMethod,
    /// Whether numbers may be stored in half precision.
    pub half_precision: bool,
}

/// The arguments of the classification of cells: `model_args`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassifyArgs {
    /// How many regions go through the network together.
    pub batch_size: usize,
    /// The side of the square that each region becomes, in pixels.
    pub min_size: usize,
    /// The names of the network's outputs, by number.
    pub classes: BTreeMap<usize, String>,
}

/// An argument that is not what its task takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}`: expected {expected}, found {found}")]
pub struct BadArgument {
    /// With its table: `inferer_args.patch_size`.
    pub name: String,
    pub expected: String,
    pub found: String,
}

impl FrameArgs {
    /// Reads `inferer_args` of focus restoration, or of segmentation.
    ///
    /// # Errors
    /// Fails at the first argument that is missing, unknown or out of its bounds.
    pub fn read(task: Task, inferer_args: Option<&Map>) -> Result<Self, BadArgument> {
        let spec = match task {
            Task::Segment => "segmentation",
            _ => "bf_focus",
        };
        let table = Table::new("inferer_args", inferer_args, &[]);
        table.check_names(spec)?;
        let patch_size = table.int("patch_size", 1..=LARGEST_SIDE)?;
        let overlap = table.number("overlap_ratio", "a number from 0 to below 1", |x| {
            (0.0..1.0).contains(&x)
        })?;
        Ok(Self {
            patch_size: table.required("patch_size", patch_size, "an integer")? as usize,
            overlap_ratio: table.required("overlap_ratio", overlap, "a number")?,
            scale: table.scale_method(task)?,
            half_precision: table.bool("half_precision")?.unwrap_or(false),
        })
    }
}

impl ClassifyArgs {
    /// Reads `model_args` of the cell classifier's config. Where these have no `min_size`, the network's own is taken:
    /// HiTMicTools, which then leaves regions as large as they are, cannot put them into one batch.
    ///
    /// # Errors
    /// Fails at the first argument that is missing, unknown or out of its bounds.
    pub fn read(model_args: Option<&Map>, network: Option<u64>) -> Result<Self, BadArgument> {
        let table = Table::new("model_args", model_args, &[]);
        table.check_names("cell_classifier")?;
        let batch_size = table.int("batch_size", 1..=i64::MAX)?;
        let min_size = match table.int("min_size", 1..=LARGEST_SIDE)? {
            Some(size) => Some(size),
            None => network.and_then(|size| i64::try_from(size).ok()),
        };
        let min_size = table.required("min_size", min_size, "an integer")?;
        if min_size > LARGEST_SIDE {
            return Err(table.bad("min_size", format!("at most {LARGEST_SIDE}"), min_size));
        }
        Ok(Self {
            batch_size: batch_size.map_or(BATCH_SIZE, |size| size as usize),
            min_size: min_size as usize,
            classes: table.classes("classes")?,
        })
    }
}

/// A table of arguments, being read. An argument that is absent is `None`.
struct Table<'a> {
    name: String,
    map: Option<&'a Map>,
}

impl<'a> Table<'a> {
    fn new(name: &str, map: Option<&'a Map>, above: &[&str]) -> Self {
        let path: Vec<&str> = above.iter().copied().chain([name]).collect();
        Self {
            name: path.join("."),
            map,
        }
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        self.map?.get(&Key::from(name))
    }

    fn bad(&self, name: &str, expected: impl Into<String>, found: impl ToString) -> BadArgument {
        BadArgument {
            name: format!("{}.{name}", self.name),
            expected: expected.into(),
            found: found.to_string(),
        }
    }

    fn wrong(&self, name: &str, expected: &str, found: &Value) -> BadArgument {
        self.bad(name, expected, shown(found))
    }

    fn required<T>(&self, name: &str, value: Option<T>, expected: &str) -> Result<T, BadArgument> {
        value.ok_or_else(|| self.bad(name, expected, "nothing"))
    }

    /// Fails at a name that the catalogue does not have for the model `key`: a misspelt one must not be passed over.
    fn check_names(&self, key: &str) -> Result<(), BadArgument> {
        let specs = catalogue::spec(key).map_or(&[][..], |spec| spec.arguments.specs);
        let known: Vec<&str> = specs.iter().map(|spec| spec.name).collect();
        self.check_names_of(&known)
    }

    fn check_names_of(&self, known: &[&str]) -> Result<(), BadArgument> {
        let names = self.map.into_iter().flat_map(|map| map.keys());
        for name in names.map(ToString::to_string) {
            if name == WITHOUT_EFFECT || known.contains(&name.as_str()) {
                continue;
            }
            let expected = match nearest(&name, known.iter().copied()) {
                Some(near) => format!("`{near}`"),
                None => format!("one of {}", known.join(", ")),
            };
            return Err(self.bad(&name, expected, "an argument that no such model takes"));
        }
        Ok(())
    }

    fn int(&self, name: &str, range: RangeInclusive<i64>) -> Result<Option<i64>, BadArgument> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Int(number)) if range.contains(number) => Ok(Some(*number)),
            Some(found) => {
                let expected = match *range.end() {
                    i64::MAX => format!("an integer of at least {}", range.start()),
                    end => format!("an integer from {} to {end}", range.start()),
                };
                Err(self.wrong(name, &expected, found))
            }
        }
    }

    fn number(
        &self,
        name: &str,
        expected: &str,
        valid: impl Fn(f64) -> bool,
    ) -> Result<Option<f64>, BadArgument> {
        let Some(found) = self.get(name) else {
            return Ok(None);
        };
        let number = match found {
            Value::Int(number) => Some(*number as f64),
            Value::Float(number) => Some(*number),
            _ => None,
        };
        match number.filter(|number| valid(*number)) {
            Some(number) => Ok(Some(number)),
            None => Err(self.wrong(name, expected, found)),
        }
    }

    fn bool(&self, name: &str) -> Result<Option<bool>, BadArgument> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Bool(found)) => Ok(Some(*found)),
            Some(found) => Err(self.wrong(name, "true or false", found)),
        }
    }

    fn table(&self, name: &str) -> Result<Table<'a>, BadArgument> {
        let map = match self.get(name) {
            None => None,
            Some(Value::Map(map)) => Some(map),
            Some(found) => return Err(self.wrong(name, "a table", found)),
        };
        Ok(Table::new(name, map, &[&self.name]))
    }

    /// `scale_method` with `scaler_args`.
    fn scale_method(&self, task: Task) -> Result<ScaleMethod, BadArgument> {
        const METHOD: &str = "scale_method";
        let scaler = self.table("scaler_args")?;
        scaler.check_names_of(&["pmin", "pmax", "clip", "bit_depth"])?;
        let limits = scaler.percentiles()?;
        let bit_depth = scaler.int("bit_depth", 1..=32)?;
        let Some(found) = self.get(METHOD) else {
            return Ok(ScaleMethod::Range01(limits));
        };
        let Value::String(text) = found else {
            return Err(self.wrong(METHOD, "the name of a method", found));
        };
        Ok(match (text.as_str(), task) {
            ("range01", _) => ScaleMethod::Range01(limits),
            ("zscore", _) => ScaleMethod::ZScore,
            ("combined", _) => ScaleMethod::Combined(limits),
            ("fixed_range", _) => {
                let bits = scaler.required("bit_depth", bit_depth, "the camera's bit depth")?;
                ScaleMethod::FixedRange {
                    bit_depth: bits as u32,
                }
            }
            ("none", Task::Segment) => ScaleMethod::None,
            _ => {
                let none = if task == Task::Segment { ", none" } else { "" };
                let expected = format!("one of range01, zscore, combined, fixed_range{none}");
                return Err(self.wrong(METHOD, &expected, found));
            }
        })
    }

    /// `pmin`, `pmax` and `clip`. One percentile without the other has no effect, as in HiTMicTools' `ImageScaler`.
    fn percentiles(&self) -> Result<Percentiles, BadArgument> {
        let percent = |x: f64| (0.0..=100.0).contains(&x);
        let pmin = self.number("pmin", "a number from 0 to 100", percent)?;
        let pmax = self.number("pmax", "a number from 0 to 100", percent)?;
        let mut limits = Percentiles::default();
        if let (Some(pmin), Some(pmax)) = (pmin, pmax) {
            if pmin >= pmax {
                return Err(self.bad("pmin", format!("a number below pmax, {pmax}"), pmin));
            }
            (limits.pmin, limits.pmax) = (pmin, pmax);
        }
        limits.clip = self.bool("clip")?.unwrap_or(limits.clip);
        Ok(limits)
    }

    /// Names by number.
    fn classes(&self, name: &str) -> Result<BTreeMap<usize, String>, BadArgument> {
        let mut classes = BTreeMap::new();
        let table = self.table(name)?;
        for (key, value) in table.map.into_iter().flatten() {
            let number = match key {
                Key::Int(number) => usize::try_from(*number).ok(),
                Key::String(_) => None,
            };
            let (Some(number), Value::String(text)) = (number, value) else {
                let found = format!("{key} = {}", shown(value));
                return Err(self.bad(name, "names of classes by number", found));
            };
            classes.insert(number, text.clone());
        }
        Ok(classes)
    }
}

/// A value in a message: short, and on one line.
fn shown(value: &Value) -> String {
    const LONGEST: usize = 60;
    let text = match value {
        Value::Bool(x) => x.to_string(),
        Value::Int(x) => x.to_string(),
        // With its point, so that it is no integer to the eye either.
        Value::Float(x) => format!("{x:?}"),
        Value::String(x) => format!("\"{}\"", x.escape_debug()),
        Value::List(x) => format!("a list of {}", x.len()),
        Value::Map(x) => format!("a table of {}", x.len()),
    };
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table as the config has it.
    fn map(json: serde_json::Value) -> Map {
        match Value::from_json(&json) {
            Value::Map(map) => crate::value::with_toml_keys(&map),
            other => panic!("{other:?}"),
        }
    }

    fn frames(task: Task, json: serde_json::Value) -> Result<FrameArgs, String> {
        FrameArgs::read(task, Some(&map(json))).map_err(|error| error.to_string())
    }

    fn scale(json: serde_json::Value) -> ScaleMethod {
        let mut all = serde_json::json!({"patch_size": 64, "overlap_ratio": 0.25});
        let given = json.as_object().unwrap().clone();
        all.as_object_mut().unwrap().extend(given);
        frames(Task::Segment, all).unwrap().scale
    }

    #[test]
    fn what_is_absent_is_hitmictools_default() {
        use serde_json::json;
        let usual = Percentiles {
            pmin: 1.0,
            pmax: 99.8,
            clip: true,
        };
        let found = frames(Task::Focus, json!({"patch_size": 64, "overlap_ratio": 0}));
        let expected = FrameArgs {
            patch_size: 64,
            overlap_ratio: 0.0,
            scale: ScaleMethod::Range01(usual),
            half_precision: false,
        };
        assert_eq!(found, Ok(expected));
        let alone = json!({"scaler_args": {"pmax": 50, "clip": false}});
        let unclipped = Percentiles {
            clip: false,
            ..usual
        };
        assert_eq!(scale(alone), ScaleMethod::Range01(unclipped));
        let both = json!({"scale_method": "combined", "scaler_args": {"pmin": 0, "pmax": 50.5}});
        let given = Percentiles {
            pmin: 0.0,
            pmax: 50.5,
            clip: true,
        };
        assert_eq!(scale(both), ScaleMethod::Combined(given));
        assert_eq!(scale(json!({"scale_method": "none"})), ScaleMethod::None);
        assert_eq!(
            scale(json!({"scale_method": "fixed_range", "scaler_args": {"bit_depth": 16}})),
            ScaleMethod::FixedRange { bit_depth: 16 }
        );
        let classes = map(json!({"classes": {"0": "cell", "3": "clump"}, "compile_mode": false}));
        let found = ClassifyArgs::read(Some(&classes), Some(32)).unwrap();
        assert_eq!((found.batch_size, found.min_size), (1024, 32));
        assert_eq!(found.classes[&3], "clump");
    }

    #[test]
    fn what_no_task_takes_is_refused_in_words() {
        use serde_json::json;
        let refused = |json: serde_json::Value| frames(Task::Focus, json).unwrap_err();
        let with = |name: &str, value: serde_json::Value| {
            refused(json!({"patch_size": 64, "overlap_ratio": 0.25, name: value}))
        };
        let classifier = |json: serde_json::Value| {
            let read = ClassifyArgs::read(Some(&map(json)), None);
            read.unwrap_err().to_string()
        };
        let messages = [
            FrameArgs::read(Task::Segment, None)
                .unwrap_err()
                .to_string(),
            refused(json!({"patch_size": 64})),
            refused(json!({"patch_size": 64.0, "overlap_ratio": 0.25})),
            refused(json!({"patch_size": 100_000, "overlap_ratio": 0.25})),
            refused(json!({"patch_size": 64, "overlap_ratio": 1})),
            with("scale_metod", json!("zscore")),
            with("scale_method", json!("none")),
            with("scale_method", json!("fixed_range")),
            with("scaler_args", json!({"pmin": 60, "pmax": 40})),
            with("scaler_args", json!({"clip": "no"})),
            with("scaler_args", json!([1, 2])),
            classifier(json!({})),
            classifier(json!({"min_size": 0})),
            classifier(json!({"min_size": 32, "classes": {"cell": 0}})),
        ];
        insta::assert_snapshot!(messages.join("\n"));
    }
}
