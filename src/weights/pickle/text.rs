//! The arguments that pickles write as text, decoded as CPython decodes them.

use std::sync::Arc;

use super::error::ceiling;
use super::node::Node;

/// UTF-8 as `BINUNICODE` has it (`surrogatepass`): lone surrogates, which Rust's text cannot hold, become U+FFFD.
pub(super) fn utf8(bytes: &[u8]) -> Option<Arc<str>> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Some(text.into());
    }
    let mut text = String::with_capacity(bytes.len());
    let mut rest = bytes;
    while !rest.is_empty() {
        let valid = match std::str::from_utf8(rest) {
            Ok(valid) => valid.len(),
            Err(error) => error.valid_up_to(),
        };
        let (good, bad) = rest.split_at(valid);
        text.push_str(&String::from_utf8_lossy(good));
        rest = match bad {
            [] => bad,
            [0xed, 0xa0..=0xbf, 0x80..=0xbf, after @ ..] => {
                text.push('\u{fffd}');
                after
            }
            _ => return None,
        };
    }
    Some(text.into())
}

/// A string of Python 2. Loaders disagree on its encoding (ASCII, UTF-8, latin-1, or bytes); UTF-8 where it is that,
/// else a character a byte.
pub(super) fn python2(bytes: &[u8]) -> Arc<str> {
    utf8(bytes).unwrap_or_else(|| {
        bytes
            .iter()
            .map(|&byte| byte as char)
            .collect::<String>()
            .into()
    })
}

/// `raw-unicode-escape`: latin-1 with `\uXXXX` and `\UXXXXXXXX`.
pub(super) fn raw_unicode_escape(bytes: &[u8]) -> Option<Arc<str>> {
    let mut text = String::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, after @ ..] = rest {
        let digits = match (first, after.first()) {
            (b'\\', Some(b'u')) => 4,
            (b'\\', Some(b'U')) => 8,
            // A backslash before anything else stands for itself, and so does what follows it.
            (b'\\', Some(&second)) => {
                text.push('\\');
                text.push(second as char);
                rest = &after[1..];
                continue;
            }
            _ => {
                text.push(*first as char);
                rest = after;
                continue;
            }
        };
        let code = hexadecimal(after.get(1..=digits)?)?;
        if code > char::MAX as u32 {
            return None;
        }
        text.push(char::from_u32(code).unwrap_or('\u{fffd}'));
        rest = &after[digits + 1..];
    }
    Some(text.into())
}

fn hexadecimal(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0u32, |value, &digit| {
        Some(value << 4 | char::from(digit).to_digit(16)?)
    })
}

/// The argument of `STRING`: a quoted literal of Python 2, decoded as `codecs.escape_decode` does.
pub(super) fn string_literal(line: &[u8]) -> Option<Vec<u8>> {
    let [quote @ (b'\'' | b'"'), inside @ .., end] = line else {
        return None;
    };
    if quote != end {
        return None;
    }
    let mut bytes = Vec::with_capacity(inside.len());
    let mut rest = inside;
    while let [first, after @ ..] = rest {
        if *first != b'\\' {
            bytes.push(*first);
            rest = after;
            continue;
        }
        let (&escaped, after) = after.split_first()?;
        rest = after;
        let byte = match escaped {
            b'\\' | b'\'' | b'"' => escaped,
            b'a' => 7,
            b'b' => 8,
            b't' => b'\t',
            b'n' => b'\n',
            b'v' => 11,
            b'f' => 12,
            b'r' => b'\r',
            b'x' => {
                rest = after.get(2..)?;
                hexadecimal(&after[..2])? as u8
            }
            b'0'..=b'7' => {
                let more = after.iter().take(2);
                let more = more.take_while(|digit| matches!(digit, b'0'..=b'7'));
                let count = more.count();
                rest = &after[count..];
                let value = u32::from(escaped - b'0');
                let digits = after[..count].iter();
                digits.fold(value, |value, &digit| value << 3 | u32::from(digit - b'0')) as u8
            }
            _ => {
                bytes.push(b'\\');
                escaped
            }
        };
        bytes.push(byte);
    }
    Some(bytes)
}

/// The digits of a number, with single underscores between them taken out, as Python's `int` and `float` do.
fn without_underscores(text: &[u8]) -> Option<Vec<u8>> {
    let mut digits = Vec::with_capacity(text.len());
    for (index, &byte) in text.iter().enumerate() {
        if byte != b'_' {
            digits.push(byte);
            continue;
        }
        let before = index.checked_sub(1).and_then(|before| text.get(before));
        let after = text.get(index + 1);
        let between = [before, after]
            .into_iter()
            .all(|byte| byte.is_some_and(u8::is_ascii_alphanumeric));
        if !between {
            return None;
        }
    }
    Some(digits)
}

/// What Python's `bytes.strip` takes off.
fn trim(mut text: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | 9..=13);
    while let [first, rest @ ..] = text
        && blank(first)
    {
        text = rest;
    }
    while let [rest @ .., last] = text
        && blank(last)
    {
        text = rest;
    }
    text
}

/// A number that a text argument holds.
#[derive(Debug, PartialEq)]
pub(super) enum Number {
    Read(Node),
    /// More digits than the ceiling.
    TooLong,
    Malformed,
}

/// The argument of `INT` and `LONG`: `int(text, 0)`, and octal with a leading zero, which the C unpickler takes.
pub(super) fn integer(text: &[u8]) -> Number {
    let text = trim(text);
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let (radix, digits) = match text {
        [b'0', b'x' | b'X', rest @ ..] => (16, rest),
        [b'0', b'o' | b'O', rest @ ..] => (8, rest),
        [b'0', b'b' | b'B', rest @ ..] => (2, rest),
        [b'0', rest @ ..] if !rest.is_empty() => (8, rest),
        _ => (10, text),
    };
    let digits = digits
        .strip_prefix(b"_".as_slice())
        .filter(|_| radix != 10)
        .unwrap_or(digits);
    if digits.len() as u64 > ceiling::DIGITS {
        return Number::TooLong;
    }
    let digits = without_underscores(digits).filter(|digits| !digits.is_empty());
    let values = digits.and_then(|digits| {
        let value = |&digit: &u8| char::from(digit).to_digit(radix);
        digits.iter().map(value).collect::<Option<Vec<u32>>>()
    });
    match values {
        Some(values) => Number::Read(from_digits(&values, radix, negative)),
        None => Number::Malformed,
    }
}

/// Digits of a radix of at most 16, as a node.
fn from_digits(digits: &[u32], radix: u32, negative: bool) -> Node {
    // Little-endian limbs of 32 bits; seven digits at a time stay below them.
    let mut limbs: Vec<u32> = Vec::new();
    for digits in digits.chunks(7) {
        let factor = u64::from(radix.pow(digits.len() as u32));
        let mut carry = digits
            .iter()
            .fold(0, |value, digit| value * radix + digit)
            .into();
        for limb in &mut limbs {
            let value: u64 = u64::from(*limb) * factor + carry;
            *limb = value as u32;
            carry = value >> 32;
        }
        if carry > 0 {
            limbs.push(carry as u32);
        }
    }
    let mut bytes: Vec<u8> = limbs.iter().flat_map(|limb| limb.to_le_bytes()).collect();
    bytes.push(0);
    if negative {
        let mut carry = true;
        for byte in &mut bytes {
            (*byte, carry) = (!*byte).overflowing_add(u8::from(carry));
        }
    }
    twos_complement(&bytes)
}

/// The argument of `LONG1` and `LONG4`.
pub(super) fn twos_complement(bytes: &[u8]) -> Node {
    let negative = bytes.last().is_some_and(|last| *last >= 0x80);
    let fill = if negative { 0xff } else { 0 };
    let mut bytes = bytes;
    while let [rest @ .., last] = bytes
        && *last == fill
        && rest.last().is_none_or(|next| (*next >= 0x80) == negative)
        && bytes.len() > 1
    {
        bytes = rest;
    }
    match bytes.len() {
        0..=8 => {
            let mut word = [fill; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            Node::Int(i64::from_le_bytes(word))
        }
        _ => Node::BigInt(bytes.into()),
    }
}

/// The argument of `GET` and `PUT`: `int(text)`, not negative.
pub(super) fn index(text: &[u8]) -> Option<u64> {
    let text = trim(text);
    let text = text.strip_prefix(b"+".as_slice()).unwrap_or(text);
    let negative = text.first() == Some(&b'-');
    let digits = without_underscores(&text[usize::from(negative)..])?;
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // An index that does not fit is as far away as any other that nothing was stored at.
    let value = digits.iter().fold(0u64, |value, digit| {
        value
            .saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    });
    (!negative || value == 0).then_some(value)
}

/// The argument of `FLOAT`: `float(text)`.
pub(super) fn float(text: &[u8]) -> Option<f64> {
    let text = without_underscores(trim(text))?;
    std::str::from_utf8(&text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_as_python_reads_them() {
        let int = |text: &str, value| {
            assert_eq!(
                integer(text.as_bytes()),
                Number::Read(Node::Int(value)),
                "{text}"
            );
        };
        int("0", 0);
        int("-17", -17);
        int(" +1_000\r", 1000);
        int("0x_fF", 255);
        int("-0b101", -5);
        int("0o17", 15);
        int("017", 15);
        int("00", 0);
        int("9223372036854775807", i64::MAX);
        int("-9223372036854775808", i64::MIN);
        for text in [
            "", "-", "1__0", "_1", "1_", "0x", "1.0", "1L", "08", "ten", "--1",
        ] {
            assert_eq!(integer(text.as_bytes()), Number::Malformed, "{text}");
        }
        assert_eq!(integer(&vec![b'1'; 4301]), Number::TooLong);
    }

    #[test]
    fn large_integers_are_twos_complement() {
        let big = |text: &str, bytes: &[u8]| {
            assert_eq!(
                integer(text.as_bytes()),
                Number::Read(Node::BigInt(bytes.into())),
                "{text}"
            );
        };
        big("9223372036854775808", &[0, 0, 0, 0, 0, 0, 0, 0x80, 0]);
        big(
            "-9223372036854775809",
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0xff],
        );
        // The magic number of torch's legacy files.
        big(
            "119547037146038801333356",
            &[0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19],
        );
        big(
            "-0x1950a86a20f9469cfc6c",
            &[0x94, 0x03, 0x63, 0xb9, 0x06, 0xdf, 0x95, 0x57, 0xaf, 0xe6],
        );
        assert_eq!(twos_complement(&[]), Node::Int(0));
        assert_eq!(twos_complement(&[0xff; 30]), Node::Int(-1));
        assert_eq!(twos_complement(&[0; 30]), Node::Int(0));
        assert_eq!(twos_complement(&[0x80, 0]), Node::Int(128));
        assert_eq!(twos_complement(&[0x80]), Node::Int(-128));
    }

    #[test]
    fn memo_indices_are_not_negative() {
        assert_eq!(index(b"0"), Some(0));
        assert_eq!(index(b" 1_2 "), Some(12));
        assert_eq!(index(b"-0"), Some(0));
        assert_eq!(index(b"+010"), Some(10));
        assert_eq!(index(&[b'9'; 100]), Some(u64::MAX));
        for text in ["", "-1", "0x1", "a", "+-1"] {
            assert_eq!(index(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn floats_are_read_as_python_reads_them() {
        assert_eq!(float(b" 1_0.5e1 "), Some(105.0));
        assert_eq!(float(b"-inf"), Some(f64::NEG_INFINITY));
        assert!(float(b"nan").unwrap().is_nan());
        assert_eq!(float(b"1__0"), None);
        assert_eq!(float(b"0x1"), None);
    }

    #[test]
    fn escapes_are_decoded_as_cpython_decodes_them() {
        let string = |text: &str| string_literal(text.as_bytes());
        assert_eq!(string(r"'a\x41\101\n\'\q\0'").unwrap(), b"aAA\n'\\q\0");
        assert_eq!(string(r#""\7778""#).unwrap(), b"\xff8");
        for text in ["", "'", "'a", "a'", "'a\"", r"'\x4'", r"'\'", r"'\xg0'"] {
            assert_eq!(string(text), None, "{text}");
        }
        let unicode = |text: &[u8]| raw_unicode_escape(text);
        assert_eq!(
            &*unicode(b"\\u006fs \xe9\\\\u0041\\n\\U0001F600").unwrap(),
            "os é\\\\u0041\\n😀"
        );
        assert_eq!(&*unicode(b"\\ud800\\").unwrap(), "\u{fffd}\\");
        assert_eq!(unicode(b"\\u12"), None);
        assert_eq!(unicode(b"\\U00110000"), None);
    }

    #[test]
    fn lone_surrogates_pass_and_other_damage_does_not() {
        assert_eq!(&*utf8(b"a\xed\xa0\x80b").unwrap(), "a\u{fffd}b");
        assert_eq!(&*utf8("é".as_bytes()).unwrap(), "é");
        for bytes in [b"\xff".as_slice(), b"a\xed\xa0", b"\xc0\x80", b"\xe9t\xe9"] {
            assert_eq!(utf8(bytes), None, "{bytes:?}");
        }
        assert_eq!(&*python2(b"\xe9t\xe9"), "été");
    }
}
