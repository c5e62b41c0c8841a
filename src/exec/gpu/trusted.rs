//! Shader modules: translated with all of wgpu's runtime checks, or without the one that our kernels do not need.

use std::env;

use wgpu::{Device, ShaderModule, ShaderModuleDescriptor, ShaderRuntimeChecks};

/// The variable that asks for all checks.
const CHECKED: &str = "BUNDLE_CHECKED_SHADERS";

/// Which checks kernels make as they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checks {
    /// All that wgpu has.
    All,
    /// All but the counting of each loop's rounds, by which wgpu ends endless loops. It costs up to a quarter of the time
    /// on Metal, and nothing where wgpu does not count either.
    NoLoops,
}

impl Checks {
    /// What the environment asks for: anything but nothing and `0` asks for all.
    pub(super) fn asked() -> Self {
        match env::var_os(CHECKED) {
            Some(value) if value != "0" && !value.is_empty() => Self::All,
            _ => Self::NoLoops,
        }
    }
}

/// Makes a module of one of our own kernels.
pub(super) fn module(
    device: &Device,
    description: ShaderModuleDescriptor<'_>,
    checks: Checks,
) -> ShaderModule {
    let runtime = match checks {
        Checks::All => return device.create_shader_module(description),
        Checks::NoLoops => ShaderRuntimeChecks {
            force_loop_bounding: false,
            ..ShaderRuntimeChecks::checked()
        },
    };
    // SAFETY: what wgpu asks for is that no loop is endless, as compilers may take one for code that is never reached. The
    // text is one of `shaders/`, put together by `Shader::text`; nothing of it comes from a user. Each of its loops is a
    // `for` over a variable that its body does not set, and which either grows by a constant step of at least one up to a
    // bound, or is halved down to 0. It cannot wrap past a bound, which is a size of something that lies in a buffer of at
    // most 2^32 bytes in vectors or words, and no step is above 256. The test below reads every loop of every kernel.
    // All other checks are made: an index that leaves its buffer, or a division by 0, does no harm.
    unsafe { device.create_shader_module_trusted(description, runtime) }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use crate::exec::gpu::shader::{Precision, Shader};
    use crate::exec::gpu::tests::dispatches;

    /// A kernel's text without comments.
    fn code(shader: &Shader) -> String {
        let text = shader.text(Precision::Single);
        let lines = text
            .lines()
            .map(|line| line.split("//").next().unwrap_or(""));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// What stands between the bracket at the beginning of a text and the one that closes it.
    fn inside(text: &str, brackets: [char; 2]) -> &str {
        let mut depth = 0;
        for (at, letter) in text.char_indices() {
            depth += i32::from(letter == brackets[0]) - i32::from(letter == brackets[1]);
            if depth == 0 {
                return &text[1..at];
            }
        }
        panic!("a bracket is not closed: {text}");
    }

    /// Whether a loop, from its head on, is one that ends.
    fn ends(from: &str) -> bool {
        let from = from.trim_start();
        let head = inside(from, ['(', ')']);
        let body = inside(from[head.len() + 2..].trim_start(), ['{', '}']);
        let parts: Vec<&str> = head.split(';').map(str::trim).collect();
        let [start, bound, step] = parts[..] else {
            return false;
        };
        let Some((name, _)) = start.strip_prefix("var ").and_then(|s| s.split_once(" = ")) else {
            return false;
        };
        let words = |text: &str| -> Vec<String> {
            let split = text.split(|c: char| !c.is_alphanumeric() && c != '_');
            split.map(str::to_owned).collect()
        };
        let counts_up = bound.starts_with(&format!("{name} < ")) && {
            let by = step.strip_prefix(&format!("{name} += "));
            let constant = by.is_some_and(|by| match by.strip_suffix('u') {
                Some(digits) if digits.chars().all(|c| c.is_ascii_digit()) => digits
                    .parse()
                    .is_ok_and(|step: u32| (1..=256).contains(&step)),
                // Constants of a kernel: how many threads a workgroup has.
                _ => by == "SLOTS" || by == "ROWS" || by == "SLOTS * ROWS",
            });
            step == format!("{name}++") || constant
        };
        let halves = bound == format!("{name} > 0u") && step == format!("{name} /= 2u");
        let is_set = body.lines().any(|line| {
            let line = line.trim();
            let assigned = line.split_once('=').filter(|(left, right)| {
                // Not a comparison, and not a new name.
                !right.starts_with('=')
                    && !left.ends_with(['!', '<', '>'])
                    && !left.contains("let ")
            });
            let counted = line.contains("++") || line.contains("--");
            let left = assigned.map_or(if counted { line } else { "" }, |(left, _)| left);
            !left.starts_with("for ") && words(left).first().is_some_and(|word| word == name)
        });
        (counts_up || halves) && !is_set
    }

    #[test]
    fn every_loop_ends() {
        let mut seen = HashSet::new();
        for dispatch in dispatches(Precision::Half) {
            let code = code(&dispatch.shader);
            if !seen.insert(code.clone()) {
                continue;
            }
            for word in ["while", "loop"] {
                let mut words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
                assert!(!words.any(|found| found == word), "{}", dispatch.shader);
            }
            for (at, _) in code.match_indices("for (") {
                let from = &code[at + 3..];
                let line = from.lines().next().unwrap_or("");
                assert!(ends(from), "{}: for{line}", dispatch.shader);
            }
        }
        assert!(seen.len() > 10);
    }

    #[test]
    fn endless_loops_are_told_from_others() {
        for good in [
            "(var i = 0u; i < n; i++) { a[i] = b == i; let i2 = i; }",
            "(var i = f(x); i < n; i += 64u) { for (var j = 0u; j < i; j++) { sum += j; } }",
            "(var half = SLOTS / 2u; half > 0u; half /= 2u) { x = half; }",
            "(var i = local.x; i < n; i += SLOTS) { continue; }",
        ] {
            assert!(ends(good), "{good}");
        }
        for bad in [
            "(var i = 0u; i < n; i += 0u) { }",
            "(var i = 0u; i < n; i += n) { }",
            "(var i = 0u; i >= n; i++) { }",
            "(var i = 0u; ; i++) { }",
            "(var i = 0u; i < n; i++) {\n i = 0u;\n }",
            "(var i = 0u; i < n; i++) {\n i -= 1u;\n }",
            "(var i = 0u; i < n; i++) {\n i--;\n }",
            "(var i = n; i >= 0u; i--) { }",
        ] {
            assert!(!ends(bad), "{bad}");
        }
    }
}
