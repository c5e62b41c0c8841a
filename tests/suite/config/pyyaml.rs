//! PyYAML's answers, kept as fixtures, and the cases that `tests/pyyaml/check.sh` puts to PyYAML itself.

use std::fmt::Write;
use std::fs;

use model_bundle::value::{Key, Map, Value};
use model_bundle::yaml::{self, Plain};
use serde_json::json;

use super::fixture;

/// The folder to write cases for PyYAML to, if it is to be asked.
const FOLDER: &str = "BUNDLE_PYYAML_CASES";

/// Texts that some reader of YAML takes for something else, or that are hard to write.
const HARD: &[&str] = &[
    "",
    " ",
    "~",
    "null",
    "Null",
    "NULL",
    "nULL",
    "yes",
    "Yes",
    "YES",
    "yEs",
    "no",
    "on",
    "off",
    "true",
    "True",
    "TRUE",
    "false",
    "y",
    "n",
    "Y",
    "N",
    "0",
    "-0",
    "+0",
    "00",
    "007",
    "010",
    "08",
    "0o17",
    "0x1F",
    "0X1F",
    "0b11",
    "+0x1f",
    "1_000",
    "_1",
    "1__0",
    "0_",
    "0x_",
    "12:30",
    "12:60",
    "1:2:3",
    "-1:30",
    "12:30.5",
    "12:30:45.",
    "1e2",
    "1e+2",
    "1.e2",
    "1.0e2",
    "1.0e+2",
    "1.0E-2",
    "1.5",
    "1.",
    ".5",
    "-.5",
    "+.5",
    ".",
    "..",
    "...",
    "-",
    "--",
    "---",
    ".inf",
    "-.inf",
    "+.inf",
    ".INF",
    ".Inf",
    ".iNf",
    "inf",
    "nan",
    ".nan",
    ".NaN",
    ".NAN",
    "-.nan",
    "2025-12-18",
    "2025-1-8",
    "2025-12-18 15:30:42",
    "2025-12-18T15:30:42Z",
    "2025-12-18t1:30:42.5 +01:00",
    "2025-1-8 1:02:03",
    "2025-12-18 15:30",
    "2025-12-18 15:30:42 Z",
    "2025-12-18 15:30:42+1",
    "2025-12-18 15:30:42 -01:3",
    "<<",
    "=",
    "<",
    "==",
    "!",
    "&",
    "*",
    "!tag",
    "&a",
    "*a",
    "@at",
    "`tick",
    "%x",
    "|",
    ">",
    "#",
    "# c",
    "a #b",
    "a# b",
    "a: b",
    "a:b",
    "a:",
    ":a",
    ": a",
    ":",
    "- a",
    "-a",
    "? a",
    "?",
    "?a",
    "[",
    "]",
    "{",
    "}",
    "[a]",
    "{a: b}",
    ",",
    "a, b",
    "'",
    "\"",
    "it's",
    "say \"x\"",
    "a\\b",
    "\\n",
    "a\nb",
    "a\n",
    "\na",
    "\n",
    "a\r\nb",
    "\r",
    "\t",
    "a\tb",
    "\ta",
    " a",
    "a ",
    "a  b",
    "é",
    "日本",
    "😀",
    "\u{85}",
    "\u{A0}",
    "\u{AD}",
    "\u{2028}",
    "\u{2029}",
    "\u{FEFF}",
    "\u{FEFF}a",
    "a\u{FEFF}",
    "\u{FFFD}",
    "\u{FFFE}",
    "\u{FFFF}",
    "\u{10FFFF}",
    "\u{7F}",
    "\u{0}",
    "\u{1B}[0m",
    "\u{E000}",
    "\u{200B}",
    "\u{200F}",
    "\u{202E}",
    "C:\\models",
    "C:/models",
    "https://doi.org/10.5281/zenodo.1",
    "models/a b.pth",
    "NAFNet-bf_focus_restoration",
    "9223372036854775808",
    "-9223372036854775809",
    "99999999999999999999",
    "1e400",
    "1.0e+400",
    "0.1",
    "1,000",
    "1 000",
    "٣",
    "1٣",
    "²",
    "%YAML 1.1",
    "--- a",
    "... a",
    "...a",
    "none",
    "None",
    "NaN",
    "Infinity",
    "0o8",
    "0b2",
    "0xG",
    "1.2.3",
    "1-2",
    "+1",
    "-1",
    "+",
    "1e",
    "1.0e+",
    "e1",
    ".e1",
    "1:",
    ":1",
    "1:2",
    "1:-2",
    "190:20:30",
    "0:30",
    "01:30",
    "-0.0",
    "1_0.5_0",
    "._5",
    ".5_",
];

/// A small generator with a fixed course, so that the cases are the same everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit
    }

    fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }

    fn text(&mut self) -> String {
        match self.below(4) {
            0 => self.pick(HARD).to_owned(),
            1 => (0..1 + self.below(3)).map(|_| self.pick(HARD)).collect(),
            2 => self.numberlike(),
            _ => {
                let length = self.below(12);
                (0..length).map(|_| self.character()).collect()
            }
        }
    }

    /// Text of the characters that numbers, dates and special words consist of.
    fn numberlike(&mut self) -> String {
        let alphabet = b"0011223456789+-..__::eExobTZ ~=<infaNulrtsy";
        let length = 1 + self.below(11);
        let mut letter = |_| char::from(alphabet[self.below(alphabet.len())]);
        (0..length).map(&mut letter).collect()
    }

    fn character(&mut self) -> char {
        let range = self.pick(&[
            &(0x20..0x7F),
            &(0..0x20),
            &(0x7F..0x180),
            &(0x2000..0x2070),
            &(0xD000..0x1_1000),
        ]);
        let code = range.start + self.below(range.len()) as u32;
        char::from_u32(code).unwrap_or('\u{FFFD}')
    }

    fn float(&mut self) -> f64 {
        match self.below(4) {
            0 => f64::from_bits(self.0),
            1 => self.below(2000) as f64 / 8.0 - 100.0,
            2 => 10_f64.powi(self.below(40) as i32 - 20),
            _ => *self.pick(&[
                &0.0,
                &-0.0,
                &f64::INFINITY,
                &f64::NEG_INFINITY,
                &f64::NAN,
                &f64::MAX,
                &5e-324,
            ]),
        }
    }

    fn value(&mut self, depth: usize) -> Value {
        match self.below(if depth == 0 { 6 } else { 9 }) {
            0 => Value::Bool(self.below(2) == 0),
            1 => Value::Int(self.below(200) as i64 - 100),
            2 => Value::Int(self.0 as i64),
            3 => Value::Float(self.float()),
            4 | 5 => Value::String(self.text()),
            6 => Value::List((0..self.below(4)).map(|_| self.value(depth - 1)).collect()),
            _ => Value::Map(self.map(depth - 1)),
        }
    }

    fn map(&mut self, depth: usize) -> Map {
        let mut map = Map::new();
        for _ in 0..self.below(4) {
            let key = match self.below(40) {
                0..8 => Key::Int(self.below(50) as i64 - 10),
                8 => Key::String(self.text().repeat(200)),
                _ => Key::String(self.text()),
            };
            map.insert(key, self.value(depth));
        }
        map
    }

    fn document(&mut self) -> Map {
        (0..3).flat_map(|_| self.map(3)).collect()
    }
}

/// A value with the type of each part spelt out; floats as their bits.
fn typed(value: &Value) -> serde_json::Value {
    match value {
        Value::Bool(x) => json!({ "bool": x }),
        Value::Int(x) => json!({ "int": x.to_string() }),
        Value::Float(x) if x.is_nan() => json!({ "float": "nan" }),
        Value::Float(x) => json!({ "float": format!("{:016x}", x.to_bits()) }),
        Value::String(x) => json!({ "str": x }),
        Value::List(items) => json!({ "list": items.iter().map(typed).collect::<Vec<_>>() }),
        Value::Map(map) => {
            let key = |key: &Key| match key {
                Key::Int(x) => typed(&Value::Int(*x)),
                Key::String(x) => typed(&Value::String(x.clone())),
            };
            let entries: Vec<_> = map.iter().map(|(k, v)| json!([key(k), typed(v)])).collect();
            json!({ "map": entries })
        }
    }
}

fn typed_scalar(plain: Plain) -> serde_json::Value {
    match plain {
        Plain::Null => json!("null"),
        Plain::Bool(x) => typed(&Value::Bool(x)),
        Plain::Int(Some(x)) => typed(&Value::Int(x)),
        Plain::Int(None) => json!("large int"),
        Plain::Float(x) => typed(&Value::Float(x)),
        Plain::Timestamp => json!("timestamp"),
        Plain::Special => json!("special"),
        Plain::String => json!("str"),
    }
}

/// A list, a key and a value of each hard text, then random documents.
pub fn documents(count: usize) -> Vec<Map> {
    let hard = HARD.iter().map(|&text| {
        let value = Value::String(text.to_owned());
        let list = Value::List(vec![value.clone(), Value::List(vec![value.clone()])]);
        Map::from_iter([(text.into(), value), (Key::Int(0), list)])
    });
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    hard.chain((0..count).map(|_| dice.document())).collect()
}

fn scalars(count: usize) -> Vec<String> {
    let mut dice = Dice(0x2545_F491_4F6C_DD1D);
    let random = (0..count).map(|_| dice.numberlike());
    HARD.iter()
        .map(|&text| text.to_owned())
        .chain(random)
        .collect()
}

fn document_lines(count: usize) -> String {
    let mut lines = String::new();
    for map in documents(count) {
        let case = json!({ "yaml": yaml::to_string(&map), "value": typed(&Value::Map(map)) });
        writeln!(lines, "{case}").unwrap();
    }
    lines
}

fn scalar_lines(count: usize) -> String {
    let mut lines = String::new();
    for text in scalars(count) {
        let case = json!({ "text": text, "pyyaml": typed_scalar(yaml::pyyaml(&text)) });
        writeln!(lines, "{case}").unwrap();
    }
    lines
}

/// Not a test by itself: writes the cases that `tests/pyyaml/check.sh` puts to PyYAML.
#[test]
fn cases_for_pyyaml() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let folder = std::path::Path::new(&folder);
    fs::write(folder.join("documents.jsonl"), document_lines(40_000)).unwrap();
    fs::write(folder.join("scalars.jsonl"), scalar_lines(300_000)).unwrap();
    fs::write(folder.join("fixed_documents.jsonl"), document_lines(100)).unwrap();
    fs::write(folder.join("fixed_scalars.jsonl"), scalar_lines(1_000)).unwrap();
}

/// The fixture holds what PyYAML read from our text; the text must stay the same for good.
#[test]
fn pyyaml_reads_back_what_is_written() {
    let fixture = fs::read_to_string(fixture("pyyaml/documents.jsonl")).unwrap();
    for (ours, theirs) in document_lines(100).lines().zip(fixture.lines()) {
        assert_eq!(ours, theirs);
    }
    assert!(fixture.lines().count() > 100);
}

#[test]
fn scalars_resolve_as_in_pyyaml() {
    let fixture = fs::read_to_string(fixture("pyyaml/scalars.jsonl")).unwrap();
    for (ours, theirs) in scalar_lines(1_000).lines().zip(fixture.lines()) {
        assert_eq!(ours, theirs);
    }
    assert!(fixture.lines().count() > 1_000);
}
