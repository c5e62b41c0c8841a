//! The sets of vector instructions that kernels are compiled for; which of them the machine has is asked at run time.

use std::fmt;

use pulp::Arch;

/// A set of instructions that this machine has.
#[derive(Clone, Copy, Debug)]
pub struct Instructions(Arch);

impl Instructions {
    /// The best that this machine has.
    pub fn best() -> Self {
        Self(Arch::new())
    }

    /// All that this machine has, the best first. The last has no vectors, and every machine has it.
    pub fn all() -> Vec<Self> {
        let mut all = vec![Self::best()];
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        if let (Arch::V4(_), Some(v3)) = (Arch::new(), pulp::x86::V3::try_new()) {
            all.push(Self(Arch::V3(v3)));
        }
        if !matches!(Arch::new(), Arch::Scalar) {
            all.push(Self(Arch::Scalar));
        }
        all
    }

    pub(super) fn arch(self) -> Arch {
        self.0
    }
}

impl fmt::Display for Instructions {
    /// `AVX-512`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Arch::V4(_) => "AVX-512",
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Arch::V3(_) => "AVX2",
            #[cfg(target_arch = "aarch64")]
            Arch::Neon(_) => "NEON",
            _ => "no vectors",
        })
    }
}
