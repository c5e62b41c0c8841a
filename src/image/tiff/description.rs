//! What the first page's ImageDescription says of a stack: ImageJ's lines, or tifffile's JSON.
//!
//! Sources: ImageJ, `ij/io/FileSaver.java` (`getDescriptionString`) and `TiffDecoder.java`; tifffile, `imagej_description`
//! and `json_description`.

use std::fmt::Write;

use super::super::info::{Calibration, Info};

/// The axes T, Z and C by their place in a list of lengths.
pub(super) const T: usize = 0;
pub(super) const Z: usize = 1;
pub(super) const C: usize = 2;

/// What a description says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Declared {
    /// How many planes there are in all.
    pub images: Option<usize>,
    /// The lengths of T, Z and C; 1 where it names none.
    pub lengths: [usize; 3],
    /// These axes, the slowest first.
    pub order: [usize; 3],
    /// Whether the lengths must be true; those of tifffile are only of a part if the file was appended to.
    pub binding: bool,
    /// The length of the resolution's unit, in micrometres.
    pub unit: Option<f64>,
    /// From slice to slice, in that unit.
    pub spacing: Option<f64>,
    /// From frame to frame, in seconds.
    pub interval: Option<f64>,
}

impl Declared {
    /// Reads a description of one of the two kinds.
    pub fn read(text: &str) -> Option<Self> {
        if text.starts_with("ImageJ=") {
            return Some(imagej(text));
        }
        text.starts_with('{').then(|| shaped(text)).flatten()
    }

    /// How many planes the lengths make; `None` if no number holds it.
    pub fn product(&self) -> Option<usize> {
        let [frames, slices, channels] = self.lengths;
        frames.checked_mul(slices)?.checked_mul(channels)
    }
}

fn imagej(text: &str) -> Declared {
    let value = |key: &str| {
        let mut pairs = text.lines().filter_map(|line| line.split_once('='));
        pairs
            .find(|(name, _)| *name == key)
            .map(|(_, value)| value.trim())
    };
    let count = |key| value(key).and_then(|value| value.parse().ok());
    let length = |key| count(key).filter(|length| *length > 0).unwrap_or(1);
    let positive = |key| {
        let number = value(key).and_then(|value| value.parse::<f64>().ok());
        number.filter(|number| number.is_finite() && *number > 0.0)
    };
    let second = match value("tunit").unwrap_or("sec") {
        "sec" | "s" | "second" | "seconds" => Some(1.0),
        "ms" | "msec" => Some(1e-3),
        "min" | "minute" | "minutes" => Some(60.0),
        "h" | "hour" | "hours" => Some(3600.0),
        _ => None,
    };
    Declared {
        images: count("images").filter(|images| *images > 0),
        lengths: [length("frames"), length("slices"), length("channels")],
        // The fastest first, where a program (Micro-Manager) says so; ImageJ itself has XYCZT.
        order: match value("order").unwrap_or_default() {
            "ctz" => [Z, T, C],
            "zct" => [T, C, Z],
            "ztc" => [C, T, Z],
            "tcz" => [Z, C, T],
            "tzc" => [C, Z, T],
            _ => [T, Z, C],
        },
        binding: true,
        unit: value("unit").and_then(micrometres),
        spacing: positive("spacing"),
        interval: positive("finterval")
            .zip(second)
            .map(|(interval, second)| interval * second),
    }
}

/// `{"shape": [3, 2, 200, 232], "axes": "TCYX"}`; without axes those of an NPY.
fn shaped(text: &str) -> Option<Declared> {
    let json: serde_json::Value = serde_json::from_str(text).ok()?;
    let shape = json
        .get("shape")?
        .as_array()?
        .iter()
        .map(serde_json::Value::as_u64);
    let shape: Vec<u64> = shape.collect::<Option<_>>()?;
    let axes = json.get("axes").and_then(serde_json::Value::as_str);
    let axes = match (axes, shape.len()) {
        (Some(axes), _) if axes.len() == shape.len() => axes,
        (_, 2) => "YX",
        (_, 3) => "TYX",
        (_, 4) => "TCYX",
        (_, 5) => "TZCYX",
        _ => return None,
    };
    let mut lengths = [1; 3];
    let mut order = Vec::new();
    for (axis, length) in axes.chars().zip(&shape) {
        let axis = match axis {
            'T' | 'I' | 'Q' => T,
            'Z' => Z,
            'C' => C,
            'Y' | 'X' | 'S' => continue,
            _ => return None,
        };
        if order.contains(&axis) || *length == 0 {
            return None;
        }
        lengths[axis] = usize::try_from(*length).ok()?;
        order.push(axis);
    }
    order.extend(
        [T, Z, C]
            .into_iter()
            .filter(|axis| lengths[*axis] == 1)
            .filter({
                let named = order.clone();
                move |axis| !named.contains(axis)
            }),
    );
    Some(Declared {
        lengths,
        order: order.try_into().ok()?,
        ..Declared::default()
    })
}

/// A unit of length in micrometres. Inches are none: they come from printing, at 72 dots each.
pub(super) fn micrometres(unit: &str) -> Option<f64> {
    Some(match unit.trim() {
        "micron" | "microns" | "um" | "µm" | "μm" | "\\u00B5m" | "\\u00b5m" | "micrometer"
        | "micrometre" => 1.0,
        "nm" | "nanometer" | "nanometre" => 1e-3,
        "mm" | "millimeter" | "millimetre" => 1e3,
        "cm" | "centimeter" | "centimetre" => 1e4,
        "m" | "meter" | "metre" => 1e6,
        "pm" | "picometer" | "picometre" => 1e-6,
        "Å" | "angstrom" => 1e-4,
        _ => return None,
    })
}

/// ImageJ's description of a stack, as tifffile and Fiji read it.
pub(super) fn of_output(info: &Info) -> String {
    let axes = &info.axes;
    let planes = axes.frames * axes.slices * axes.channels;
    let mut text = format!("ImageJ=1.11a\nimages={planes}\n");
    let lengths = [
        ("channels", axes.channels),
        ("slices", axes.slices),
        ("frames", axes.frames),
    ];
    for (name, length) in lengths.into_iter().filter(|(_, length)| *length > 1) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name}={length}");
    }
    text += "hyperstack=true\nmode=grayscale\n";
    let Calibration {
        pixel,
        spacing,
        interval,
    } = info.calibration;
    if pixel.is_some() || spacing.is_some() {
        text += "unit=micron\n";
    }
    let steps = [("spacing", spacing), ("finterval", interval)];
    for (name, step) in steps {
        if let Some(step) = step {
            let _ = writeln!(text, "{name}={step}");
        }
    }
    text + "loop=false\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imagej_says_axes_and_sizes() {
        let text = "ImageJ=1.53t\nimages=12\nchannels=2\nframes=6\nunit=\\u00B5m\nfinterval=2.5\ntunit=min\n";
        let declared = Declared::read(text).unwrap();
        assert_eq!(declared.lengths, [6, 1, 2]);
        assert_eq!(declared.images, Some(12));
        assert_eq!((declared.unit, declared.interval), (Some(1.0), Some(150.0)));
        let odd =
            Declared::read("ImageJ=1\nframes=0\nslices=-3\nchannels=x\nfinterval=nan\norder=zct")
                .unwrap();
        assert_eq!((odd.lengths, odd.interval), ([1; 3], None));
        assert_eq!(odd.order, [T, C, Z]);
    }

    #[test]
    fn tifffile_says_a_shape() {
        let read = |text| Declared::read(text).map(|declared| (declared.lengths, declared.order));
        assert_eq!(
            read(r#"{"shape": [3, 2, 7, 9]}"#),
            Some(([3, 1, 2], [T, C, Z]))
        );
        let axes = r#"{"shape": [5, 3, 7, 9, 3], "axes": "CTYXS"}"#;
        assert_eq!(read(axes), Some(([3, 1, 5], [C, T, Z])));
        for text in [
            "{",
            "{}",
            r#"{"shape": 3}"#,
            r#"{"shape": [3, -1, 2]}"#,
            r#"{"shape": [0, 1, 2]}"#,
            r#"{"shape": [2, 2, 7, 9], "axes": "TTYX"}"#,
            r#"{"shape": [2, 2, 7, 9], "axes": "TWYX"}"#,
            "SCANIMAGE",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
