//! Numbers in cells: what pandas takes for one, and how it writes them.

/// What pandas reads as a missing value (`pandas._libs.parsers.STR_NA_VALUES`).
const MISSING: [&str; 19] = [
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
    "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
];

/// A cell as a number: NaN where the value is missing, `None` if it is none. Blanks around it do not count.
pub fn number(text: &str) -> Option<f64> {
    let text = text.trim_matches([' ', '\t']);
    match MISSING.contains(&text) {
        true => Some(f64::NAN),
        false => text.parse().ok(),
    }
}

/// A number as Python's `repr` writes it, and so pandas: the fewest digits that give it back. Missing values are empty.
pub fn repr(number: f64) -> String {
    let short = format!("{number:e}");
    let near = format!("{number:.*e}", decimals(&short));
    let is_same = near.parse() == Ok(number);
    written(if is_same { near } else { short }, number)
}

/// The same of a number in single precision, as numpy writes it.
pub fn repr_single(number: f32) -> String {
    let short = format!("{number:e}");
    let near = format!("{number:.*e}", decimals(&short));
    let is_same = near.parse() == Ok(number);
    written(if is_same { near } else { short }, f64::from(number))
}

/// How many digits stand after the point. Of several texts with so few digits that give a number back, Python writes
/// the nearest, and of two as near the even one; Rust's shortest text may be another.
fn decimals(scientific: &str) -> usize {
    let mantissa = scientific.split('e').next().unwrap_or_default();
    mantissa
        .split_once('.')
        .map_or(0, |(_, digits)| digits.len())
}

/// Turns Rust's digits (`-1.25e-7`) into Python's form: below 0.0001 and from 1e16 on with an exponent, of two digits at
/// least and with its sign; all others with a point.
fn written(scientific: String, number: f64) -> String {
    if number.is_nan() {
        return String::new();
    }
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let Ok(exponent) = exponent.parse::<i32>() else {
        return scientific.clone();
    };
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    let size = number.abs();
    if size != 0.0 && !(1e-4..1e16).contains(&size) {
        let direction = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{mantissa}e{direction}{:02}", exponent.abs());
    }
    let digits = mantissa.replace('.', "");
    match usize::try_from(exponent) {
        Err(_) => {
            let zeros = "0".repeat(exponent.unsigned_abs() as usize - 1);
            format!("{sign}0.{zeros}{digits}")
        }
        Ok(whole) if digits.len() > whole + 1 => {
            let (before, after) = digits.split_at(whole + 1);
            format!("{sign}{before}.{after}")
        }
        Ok(whole) => format!("{sign}{digits}{}.0", "0".repeat(whole + 1 - digits.len())),
    }
}
