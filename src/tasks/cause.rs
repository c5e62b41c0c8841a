//! Why what a network gives may be no finite number, for messages.

/// What to look at first; numbers between ops were kept in float16, or were not.
pub(super) fn of_no_number(half: bool) -> &'static str {
    match half {
        true => {
            "float16 has no number above 65504: run it with `--precision f32`; if that gives none either, the network's \
             weights are damaged, or the image's numbers are too far from those that it was trained on"
        }
        false => {
            "the network's weights are damaged, or the image's numbers are too far from those that it was trained on"
        }
    }
}
