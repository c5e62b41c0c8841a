//! The kernels' text: hand-written files of `shaders/`, put together for what a dispatch needs.

use std::fmt;
use std::fmt::Write;

/// How values between ops are stored. Sums are always in float32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// float32.
    #[default]
    Single,
    /// float16.
    Half,
}

/// A file of `shaders/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kernel {
    Conv,
    Tiled,
    Linear,
    Depthwise,
    Pointwise,
    Across,
    Rearrange,
    Reduce,
    Merge,
    Squeeze,
    Spread,
    Mix,
    Gather,
    Blend,
    Finish,
    Enter,
    Leave,
}

/// A kernel, with what it is specialised by: kernels that differ in nothing of it share a pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Shader {
    pub(crate) kernel: Kernel,
    /// Constants that the kernel's file uses but does not declare, as WGSL has them.
    pub(crate) constants: Vec<(&'static str, Constant)>,
    /// The steps of its prologue, as expressions of `v`, `at` and `op`.
    pub(crate) before: Vec<&'static str>,
    /// The steps of its epilogue.
    pub(crate) after: Vec<&'static str>,
}

/// A constant of a shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Constant {
    Bool(bool),
    Count(u32),
}

impl fmt::Display for Constant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Count(value) => write!(f, "{value}u"),
        }
    }
}

const ARENA: &str = include_str!("../../../shaders/shared/arena.wgsl");
const GRID: &str = include_str!("../../../shaders/shared/grid.wgsl");
const NAN: &str = include_str!("../../../shaders/shared/nan.wgsl");
const VALUES: &str = include_str!("../../../shaders/shared/values.wgsl");
const SOURCE: &str = include_str!("../../../shaders/shared/source.wgsl");
const STEPS: &str = include_str!("../../../shaders/shared/steps.wgsl");
const MOMENTS: &str = include_str!("../../../shaders/shared/moments.wgsl");
const PIXEL: &str = include_str!("../../../shaders/shared/pixel.wgsl");
const WEIGHTS: &str = include_str!("../../../shaders/shared/weights.wgsl");
const EXCHANGE: &str = include_str!("../../../shaders/shared/exchange.wgsl");
const DENSE: &str = include_str!("../../../shaders/shared/dense.wgsl");
const FRAME: &str = include_str!("../../../shaders/shared/frame.wgsl");

impl Kernel {
    /// All of them.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 17] = [
        Self::Conv,
        Self::Tiled,
        Self::Linear,
        Self::Depthwise,
        Self::Pointwise,
        Self::Across,
        Self::Rearrange,
        Self::Reduce,
        Self::Merge,
        Self::Squeeze,
        Self::Spread,
        Self::Mix,
        Self::Gather,
        Self::Blend,
        Self::Finish,
        Self::Enter,
        Self::Leave,
    ];

    /// What kernels of dense convolutions share.
    const CONVOLVES: &'static [&'static str] =
        &[ARENA, VALUES, SOURCE, STEPS, PIXEL, MOMENTS, DENSE];

    /// The name of its file.
    pub(crate) fn name(self) -> &'static str {
        self.parts().0
    }

    /// Whether it works on frames around a network, and so has the bindings of `shared/frame.wgsl`.
    pub(crate) fn is_around(self) -> bool {
        matches!(
            self,
            Self::Gather | Self::Blend | Self::Finish | Self::Enter | Self::Leave
        )
    }

    /// Its name, its own text, and what it shares.
    fn parts(self) -> (&'static str, &'static str, &'static [&'static str]) {
        macro_rules! own {
            ($name:literal) => {
                include_str!(concat!("../../../shaders/", $name, ".wgsl"))
            };
        }
        match self {
            Self::Conv => (
                "conv",
                own!("conv"),
                &[ARENA, VALUES, SOURCE, STEPS, PIXEL, MOMENTS, WEIGHTS, DENSE],
            ),
            Self::Tiled => ("tiled", own!("tiled"), Self::CONVOLVES),
            Self::Linear => ("linear", own!("linear"), Self::CONVOLVES),
            Self::Depthwise => (
                "depthwise",
                own!("depthwise"),
                &[ARENA, VALUES, SOURCE, STEPS, MOMENTS, WEIGHTS],
            ),
            Self::Pointwise => (
                "pointwise",
                own!("pointwise"),
                &[ARENA, VALUES, SOURCE, STEPS],
            ),
            Self::Across => (
                "across",
                own!("across"),
                &[ARENA, VALUES, SOURCE, STEPS, PIXEL],
            ),
            Self::Rearrange => ("rearrange", own!("rearrange"), &[ARENA, VALUES]),
            Self::Reduce => (
                "reduce",
                own!("reduce"),
                &[ARENA, VALUES, SOURCE, STEPS, MOMENTS],
            ),
            Self::Merge => ("merge", own!("merge"), &[ARENA, VALUES, MOMENTS]),
            Self::Squeeze => ("squeeze", own!("squeeze"), &[ARENA, VALUES, MOMENTS]),
            Self::Spread => ("spread", own!("spread"), &[ARENA, VALUES, MOMENTS, WEIGHTS]),
            Self::Mix => ("mix", own!("mix"), &[ARENA, VALUES, WEIGHTS]),
            Self::Gather => ("gather", own!("gather"), &[ARENA, FRAME]),
            Self::Blend => ("blend", own!("blend"), &[ARENA, FRAME]),
            Self::Finish => ("finish", own!("finish"), &[ARENA, FRAME]),
            Self::Enter => ("enter", own!("enter"), &[ARENA, FRAME]),
            Self::Leave => ("leave", own!("leave"), &[ARENA, FRAME]),
        }
    }

    fn has_prologue(self) -> bool {
        self.parts().2.contains(&STEPS)
    }
}

impl Shader {
    /// A kernel with nothing to be specialised by.
    pub(crate) fn plain(kernel: Kernel) -> Self {
        Self {
            kernel,
            constants: Vec::new(),
            before: Vec::new(),
            after: Vec::new(),
        }
    }

    /// Whether its threads exchange the weights that they read, for which a device needs subgroups.
    pub(crate) fn exchanges(&self) -> bool {
        self.constants
            .contains(&("EXCHANGES", Constant::Bool(true)))
    }

    /// The whole text, in WGSL.
    pub(crate) fn text(&self, precision: Precision) -> String {
        let (_, own, shared) = self.kernel.parts();
        let mut text = String::from(match precision {
            Precision::Single => "alias Stored = vec4f;\nconst HALF = false;\n",
            Precision::Half => "enable f16;\nalias Stored = vec4h;\nconst HALF = true;\n",
        });
        for (name, value) in &self.constants {
            let _ = writeln!(text, "const {name} = {value};");
        }
        for part in [&GRID, &NAN].into_iter().chain(shared).chain([&own]) {
            let part = match *part {
                WEIGHTS if self.exchanges() => EXCHANGE,
                part => part,
            };
            text.push('\n');
            text.push_str(&self.unrolled(part));
        }
        if self.kernel.has_prologue() {
            text.push_str(&function("prologue", &self.before, 0));
            text.push_str(&function("epilogue", &self.after, self.before.len()));
        }
        text
    }
}

impl Shader {
    /// A text in which a line with `{p}` stands for one line for each of PIXELS, and one with `{v}` for each of VECTORS:
    /// numbers stay in registers if each has a name, and WGSL has no way to ask that a loop be unrolled. `{q}` is the
    /// number after `{p}`, where there is one, and `{last}` that of the last pixel.
    fn unrolled(&self, text: &str) -> String {
        let count = |name: &str| {
            let found = self
                .constants
                .iter()
                .find(|(constant, _)| *constant == name);
            match found {
                Some((_, Constant::Count(count))) => *count,
                _ => 1,
            }
        };
        let (pixels, vectors) = (count("PIXELS"), count("VECTORS"));
        let mut made = String::with_capacity(text.len());
        for line in text.lines() {
            if line.trim_start().starts_with("//") {
                made.push_str(line);
                made.push('\n');
                continue;
            }
            let repeats = |mark: &str, count: u32| match line.contains(mark) {
                true => count,
                false => 1,
            };
            let pixels_here = repeats("{p}", pixels) - u32::from(line.contains("{q}"));
            for p in 0..pixels_here {
                for v in 0..repeats("{v}", vectors) {
                    let line = line
                        .replace("{p}", &p.to_string())
                        .replace("{q}", &(p + 1).to_string())
                        .replace("{last}", &(pixels - 1).to_string())
                        .replace("{v}", &v.to_string());
                    made.push_str(&line);
                    made.push('\n');
                }
            }
        }
        made
    }
}

/// A function that makes these steps, whose numbers are `args.ops[first..]`.
fn function(name: &str, steps: &[&str], first: usize) -> String {
    let mut text = format!("\nfn {name}(value: vec4f, at: At) -> vec4f {{\n    var v = value;\n");
    for (index, step) in steps.iter().enumerate() {
        let step = step.replace(" op)", &format!(" args.ops[{}])", first + index));
        let _ = writeln!(text, "    v = {step};");
    }
    text.push_str("    return v;\n}\n");
    text
}

/// What it is specialised by, on one line: `conv SLOTS=16u ROWS=4u, relu(v) before`.
impl fmt::Display for Shader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kernel.name())?;
        for (name, value) in &self.constants {
            match value {
                Constant::Bool(true) => write!(f, " {name}")?,
                Constant::Bool(false) => {}
                Constant::Count(count) => write!(f, " {name}={count}")?,
            }
        }
        for step in &self.before {
            write!(f, " <{step}")?;
        }
        for step in &self.after {
            write!(f, " >{step}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stand_for_pixels_and_vectors() {
        let shader = Shader {
            constants: vec![
                ("PIXELS", Constant::Count(3)),
                ("VECTORS", Constant::Count(2)),
            ],
            ..Shader::plain(Kernel::Conv)
        };
        let text = "// {p}\na{p};\nb{v};\nc{p}_{v};\nd{p} = d{q};\ne{last};\n";
        let expected = "// {p}\na0;\na1;\na2;\nb0;\nb1;\nc0_0;\nc0_1;\nc1_0;\nc1_1;\nc2_0;\nc2_1;\n\
            d0 = d1;\nd1 = d2;\ne2;\n";
        assert_eq!(shader.unrolled(text), expected);
        // A thread of other kernels has one of each.
        let plain = Shader::plain(Kernel::Merge);
        assert_eq!(plain.unrolled("a{p};\nb{p} = b{q};\n"), "a0;\n");
    }
}
