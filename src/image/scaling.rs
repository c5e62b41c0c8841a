//! What is done to a frame's numbers before a network sees them, and undone after.

/// A scaling whose parameters are known: the numbers of one channel of one frame, in float32.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scaling {
    /// Done first.
    pub range: Option<Range>,
    /// Done second.
    pub standard: Option<Standard>,
}

/// `(v - low) / (span + eps)`, clipped to 0..=1 if `clip`; back by `v * span + low`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Range {
    pub low: f32,
    pub span: f32,
    pub eps: f32,
    pub clip: bool,
}

/// `(v - mean) / (deviation + 1e-6)`; back by `v * deviation + mean`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Standard {
    pub mean: f32,
    pub deviation: f32,
}

impl Scaling {
    /// What the network sees.
    pub fn forward(&self, value: f32) -> f32 {
        let mut value = value;
        if let Some(range) = &self.range {
            value = (value - range.low) / (range.span + range.eps);
            if range.clip {
                value = value.clamp(0.0, 1.0);
            }
        }
        if let Some(standard) = &self.standard {
            value = (value - standard.mean) / (standard.deviation + 1e-6);
        }
        value
    }

    /// What the network's result is in the frame's numbers.
    pub fn back(&self, value: f32) -> f32 {
        let mut value = value;
        if let Some(standard) = &self.standard {
            value = value * standard.deviation + standard.mean;
        }
        if let Some(range) = &self.range {
            value = value * range.span + range.low;
        }
        value
    }
}
