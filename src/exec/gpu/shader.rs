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

const GRID: &str = include_str!("../../../shaders/shared/grid.wgsl");
const VALUES: &str = include_str!("../../../shaders/shared/values.wgsl");
const SOURCE: &str = include_str!("../../../shaders/shared/source.wgsl");
const STEPS: &str = include_str!("../../../shaders/shared/steps.wgsl");
const MOMENTS: &str = include_str!("../../../shaders/shared/moments.wgsl");
const FRAME: &str = include_str!("../../../shaders/shared/frame.wgsl");

impl Kernel {
    /// All of them.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 15] = [
        Self::Conv,
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
            Self::Conv => ("conv", own!("conv"), &[VALUES, SOURCE, STEPS, MOMENTS]),
            Self::Depthwise => ("depthwise", own!("depthwise"), &[VALUES, SOURCE, STEPS]),
            Self::Pointwise => ("pointwise", own!("pointwise"), &[VALUES, SOURCE, STEPS]),
            Self::Across => ("across", own!("across"), &[VALUES, SOURCE, STEPS]),
            Self::Rearrange => ("rearrange", own!("rearrange"), &[VALUES]),
            Self::Reduce => ("reduce", own!("reduce"), &[VALUES, SOURCE, STEPS, MOMENTS]),
            Self::Merge => ("merge", own!("merge"), &[VALUES, MOMENTS]),
            Self::Squeeze => ("squeeze", own!("squeeze"), &[VALUES, MOMENTS]),
            Self::Spread => ("spread", own!("spread"), &[VALUES, MOMENTS]),
            Self::Mix => ("mix", own!("mix"), &[VALUES]),
            Self::Gather => ("gather", own!("gather"), &[FRAME]),
            Self::Blend => ("blend", own!("blend"), &[FRAME]),
            Self::Finish => ("finish", own!("finish"), &[FRAME]),
            Self::Enter => ("enter", own!("enter"), &[FRAME]),
            Self::Leave => ("leave", own!("leave"), &[FRAME]),
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

    /// The whole text, in WGSL.
    pub(crate) fn text(&self, precision: Precision) -> String {
        let (_, own, shared) = self.kernel.parts();
        let mut text = String::from(match precision {
            Precision::Single => "alias Stored = vec4f;\n",
            Precision::Half => "enable f16;\nalias Stored = vec4h;\n",
        });
        for (name, value) in &self.constants {
            let _ = writeln!(text, "const {name} = {value};");
        }
        for part in [&GRID].into_iter().chain(shared).chain([&own]) {
            text.push('\n');
            text.push_str(part);
        }
        if self.kernel.has_prologue() {
            text.push_str(&function("prologue", &self.before, 0));
            text.push_str(&function("epilogue", &self.after, self.before.len()));
        }
        text
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
