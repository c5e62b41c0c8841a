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
    written(format!("{number:e}"), number.is_nan())
}

/// The same of a number in single precision, as numpy writes it.
pub fn repr_single(number: f32) -> String {
    written(format!("{number:e}"), number.is_nan())
}

/// Turns Rust's shortest digits (`-1.25e-7`) into Python's form: an exponent below -4 or from 16 on, of two digits at
/// least and with its sign; a point in all others.
fn written(scientific: String, is_missing: bool) -> String {
    if is_missing {
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
    if !(-4..16).contains(&exponent) {
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
