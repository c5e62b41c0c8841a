//! The types that YAML 1.1 (as PyYAML resolves it) and YAML 1.2 (the core schema) give to a plain scalar.
//!
//! The 1.1 patterns are those of PyYAML's `resolver.py`, which differ from the 1.1 specification: a float needs
//! a point, an exponent needs a sign, and a leading point takes none. The 1.2 patterns are section 10.3.2 of the specification.

use std::fmt;

/// What a plain scalar means to one version of YAML.
#[derive(Clone, Copy, Debug)]
pub enum Plain {
    Null,
    Bool(bool),
    /// An integer; `None` where an `i64` cannot hold it.
    Int(Option<i64>),
    Float(f64),
    /// A date or a time: PyYAML makes a `datetime` of it.
    Timestamp,
    /// `<<`, `=` and other signs that YAML 1.1 gives types of their own.
    Special,
    String,
}

impl PartialEq for Plain {
    /// Floats are compared by their bits, so that `.nan` is itself.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits(),
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

impl fmt::Display for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(x) => write!(f, "`{x}`"),
            Self::Int(Some(x)) => write!(f, "the number {x}"),
            Self::Int(None) => f.write_str("a number"),
            Self::Float(x) => write!(f, "the number {}", super::float(*x)),
            Self::Timestamp => f.write_str("a date or time"),
            Self::Special => f.write_str("a sign of YAML's own"),
            Self::String => f.write_str("text"),
        }
    }
}

/// A plain scalar that the two versions read differently.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ambiguity {
    /// What PyYAML, and so HiTMicTools, makes of it.
    pub pyyaml: Plain,
    /// What YAML 1.2 makes of it.
    pub core: Plain,
}

impl Ambiguity {
    /// How to write what is meant, one way for each meaning that `text` may have.
    pub fn advice(&self, text: &str) -> String {
        let mut ways = Vec::new();
        for reading in [self.core, self.pyyaml] {
            let way = match reading {
                Plain::Bool(x) => format!("`{x}` for the truth value"),
                Plain::Int(Some(x)) => format!("`{x}` for the number {x}"),
                Plain::Float(x) => format!("`{}` for the number", super::float(x)),
                _ => continue,
            };
            ways.push(way);
        }
        ways.push(format!("`\"{text}\"`, in quotes, for the text"));
        format!("write {}", ways.join(", or "))
    }
}

/// Whether PyYAML and YAML 1.2 read the plain scalar `text` differently.
pub fn ambiguity(text: &str) -> Option<Ambiguity> {
    let (pyyaml, core) = (pyyaml(text), core_schema(text));
    (pyyaml != core).then_some(Ambiguity { pyyaml, core })
}

/// The type and value that PyYAML's `safe_load` gives to the plain scalar `text`.
pub fn pyyaml(text: &str) -> Plain {
    let lower = text.to_ascii_lowercase();
    match lower.as_str() {
        "yes" | "true" | "on" if one_case(text) => return Plain::Bool(true),
        "no" | "false" | "off" if one_case(text) => return Plain::Bool(false),
        "null" if one_case(text) => return Plain::Null,
        "" | "~" => return Plain::Null,
        "<<" | "=" | "!" | "&" | "*" => return Plain::Special,
        _ => {}
    }
    if let Some(float) = pyyaml_float(text) {
        return Plain::Float(float);
    }
    if let Some(int) = pyyaml_int(text) {
        return Plain::Int(int);
    }
    if is_timestamp(text) {
        return Plain::Timestamp;
    }
    Plain::String
}

/// The type and value that YAML 1.2's core schema gives to the plain scalar `text`.
pub fn core_schema(text: &str) -> Plain {
    let lower = text.to_ascii_lowercase();
    match lower.as_str() {
        "true" if one_case(text) => return Plain::Bool(true),
        "false" if one_case(text) => return Plain::Bool(false),
        "null" if one_case(text) => return Plain::Null,
        "" | "~" => return Plain::Null,
        _ => {}
    }
    if let Some(float) = infinity_or_nan(text) {
        return Plain::Float(float);
    }
    core_number(text).unwrap_or(Plain::String)
}

/// Whether a word is written `word`, `Word` or `WORD`.
fn one_case(word: &str) -> bool {
    let rest = word.get(1..).unwrap_or_default();
    let lower = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase());
    let upper = |text: &str| text.bytes().all(|byte| byte.is_ascii_uppercase());
    lower(rest) || upper(word)
}

/// `.inf` with or without a sign, and `.nan`: the same in both versions.
fn infinity_or_nan(text: &str) -> Option<f64> {
    let (sign, rest) = split_sign(text);
    match rest {
        ".inf" | ".Inf" | ".INF" if sign == "-" => Some(f64::NEG_INFINITY),
        ".inf" | ".Inf" | ".INF" => Some(f64::INFINITY),
        ".nan" | ".NaN" | ".NAN" if sign.is_empty() => Some(f64::NAN),
        _ => None,
    }
}

fn core_number(text: &str) -> Option<Plain> {
    let radix = |digits: &str, radix| {
        let valid = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
        valid.then(|| Plain::Int(i64::from_str_radix(digits, radix).ok()))
    };
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    let mut rest = split_sign(text).1;
    let whole = take_while(&mut rest, |byte| byte.is_ascii_digit());
    if rest.is_empty() && !whole.is_empty() {
        return Some(Plain::Int(text.parse().ok()));
    }
    let fraction = rest.strip_prefix('.').map(|after| {
        rest = after;
        take_while(&mut rest, |byte| byte.is_ascii_digit())
    });
    if whole.is_empty() && fraction.is_none_or(str::is_empty) {
        return None;
    }
    if let Some(after) = rest.strip_prefix(['e', 'E']) {
        rest = split_sign(after).1;
        if take_while(&mut rest, |byte| byte.is_ascii_digit()).is_empty() {
            return None;
        }
    }
    rest.is_empty()
        .then(|| text.parse().ok().map(Plain::Float))
        .flatten()
}

fn pyyaml_float(text: &str) -> Option<f64> {
    if let Some(special) = infinity_or_nan(text) {
        return Some(special);
    }
    let (sign, mut rest) = split_sign(text);
    let whole = take_while(&mut rest, |byte| byte.is_ascii_digit() || byte == b'_');
    if whole.starts_with('_') || (whole.is_empty() && !sign.is_empty()) {
        return None;
    }
    let minutes = sexagesimal_tail(&mut rest);
    rest = rest.strip_prefix('.')?;
    let fraction = take_while(&mut rest, |byte| byte.is_ascii_digit() || byte == b'_');
    if whole.is_empty() && !fraction.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if !minutes.is_empty() {
        let valid = rest.is_empty() && !whole.is_empty();
        return valid.then(|| sexagesimal(sign, whole, &format!("{minutes}.{fraction}")));
    }
    if let Some(after) = rest.strip_prefix(['e', 'E']) {
        rest = after.strip_prefix(['-', '+'])?;
        if take_while(&mut rest, |byte| byte.is_ascii_digit()).is_empty() {
            return None;
        }
    }
    rest.is_empty()
        .then(|| text.replace('_', "").parse().ok())
        .flatten()
}

/// `Some(None)`: an integer that an `i64` does not hold.
fn pyyaml_int(text: &str) -> Option<Option<i64>> {
    let (sign, rest) = split_sign(text);
    let digits = |digits: &str, radix: u32| {
        let valid = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix) || c == '_');
        let bare = format!("{sign}{}", digits.replace('_', ""));
        valid.then(|| i64::from_str_radix(&bare, radix).ok())
    };
    match rest.as_bytes() {
        [b'0'] => Some(Some(0)),
        [b'0', b'b', ..] => digits(&rest[2..], 2),
        [b'0', b'x', ..] => digits(&rest[2..], 16),
        [b'0', ..] => digits(rest, 8),
        [b'1'..=b'9', ..] => {
            let mut tail = rest;
            let whole = take_while(&mut tail, |byte| byte.is_ascii_digit() || byte == b'_');
            let minutes = sexagesimal_tail(&mut tail);
            match (tail, minutes) {
                ("", "") => digits(whole, 10),
                ("", minutes) => Some(Some(sexagesimal(sign, whole, minutes) as i64)),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Takes `:59:59` off the front of `rest`: what follows the first number of a base-60 one.
fn sexagesimal_tail<'a>(rest: &mut &'a str) -> &'a str {
    let whole = *rest;
    while let Some(after) = rest.strip_prefix(':') {
        let length = match after.as_bytes() {
            [b'0'..=b'5', b'0'..=b'9', ..] => 2,
            [b'0'..=b'9', ..] => 1,
            _ => break,
        };
        *rest = &after[length..];
    }
    &whole[..whole.len() - rest.len()]
}

/// The value of a base-60 number; `minutes` starts with a colon.
fn sexagesimal(sign: &str, whole: &str, minutes: &str) -> f64 {
    let all = format!("{whole}{minutes}").replace('_', "");
    let value = all.split(':').fold(0.0, |value, part| {
        value * 60.0 + part.parse::<f64>().unwrap_or_default()
    });
    if sign == "-" { -value } else { value }
}

/// `2025-12-18`, or a date and a time with the freedoms that YAML 1.1 allows.
fn is_timestamp(text: &str) -> bool {
    let Some((year, mut rest)) = fixed_digits(text, 4) else {
        return false;
    };
    debug_assert_eq!(year.len(), 4);
    let mut part = |lead: &[char], most: usize| -> Option<usize> {
        let after = rest.strip_prefix(lead)?;
        let digits = after
            .bytes()
            .take(most)
            .take_while(u8::is_ascii_digit)
            .count();
        rest = &after[digits..];
        (digits > 0).then_some(digits)
    };
    let (Some(month), Some(day)) = (part(&['-'], 2), part(&['-'], 2)) else {
        return false;
    };
    if rest.is_empty() {
        return month == 2 && day == 2;
    }
    is_time(rest)
}

/// `T12:30:00.5 +01:00`: the part of a timestamp after the date.
fn is_time(text: &str) -> bool {
    let mut rest = text;
    if let Some(after) = rest.strip_prefix(['T', 't']) {
        rest = after;
    } else if take_while(&mut rest, |byte| matches!(byte, b' ' | b'\t')).is_empty() {
        return false;
    }
    let hours = take_while(&mut rest, |byte| byte.is_ascii_digit());
    if !matches!(hours.len(), 1 | 2) {
        return false;
    }
    for _ in ["minutes", "seconds"] {
        let Some((_, after)) = rest.strip_prefix(':').and_then(|x| fixed_digits(x, 2)) else {
            return false;
        };
        rest = after;
    }
    if let Some(after) = rest.strip_prefix('.') {
        rest = after;
        take_while(&mut rest, |byte| byte.is_ascii_digit());
    }
    if rest.is_empty() {
        return true;
    }
    is_time_zone(rest.trim_start_matches([' ', '\t']))
}

fn is_time_zone(text: &str) -> bool {
    if text == "Z" {
        return true;
    }
    let Some(mut rest) = text.strip_prefix(['-', '+']) else {
        return false;
    };
    let hours = take_while(&mut rest, |byte| byte.is_ascii_digit());
    let minutes = rest.strip_prefix(':').and_then(|x| fixed_digits(x, 2));
    matches!(hours.len(), 1 | 2) && (rest.is_empty() || minutes.is_some_and(|(_, x)| x.is_empty()))
}

fn split_sign(text: &str) -> (&str, &str) {
    match text.as_bytes() {
        [b'-' | b'+', ..] => text.split_at(1),
        _ => ("", text),
    }
}

/// Exactly `count` digits off the front of `text`.
fn fixed_digits(text: &str, count: usize) -> Option<(&str, &str)> {
    let digits = text.bytes().take(count).filter(u8::is_ascii_digit).count();
    (digits == count).then(|| text.split_at(count))
}

/// Takes the ASCII characters that satisfy `accept` off the front of `rest`.
fn take_while<'a>(rest: &mut &'a str, accept: impl Fn(u8) -> bool) -> &'a str {
    let length = rest.bytes().take_while(|&byte| accept(byte)).count();
    let (taken, left) = rest.split_at(length);
    *rest = left;
    taken
}
