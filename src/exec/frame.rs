//! What every executor asks of a frame, and must know of it.

use super::{ExecError, Finish, Frame};
use crate::image::Windows;
use crate::nn::Shape;

/// Whether a network that takes and gives these shapes can be run on a frame.
pub(super) fn check(frame: &Frame, input: Shape, output: Shape) -> Result<(), ExecError> {
    let unfit = |what: &str, expected: String, found: String| {
        Err(ExecError::Unfit {
            what: what.to_owned(),
            expected,
            found,
        })
    };
    let windows = &frame.windows;
    let side = windows.side;
    let [height, width] = windows.frame;
    if (input.height, input.width) != (side, side) {
        let expected = format!("windows of {} x {}", input.height, input.width);
        return unfit("a frame", expected, format!("{side} x {side}"));
    }
    if (output.height, output.width) != (side, side) {
        let found = format!("{} x {}", output.height, output.width);
        return unfit("the network's result", format!("{side} x {side}"), found);
    }
    let numbers = input.channels * height * width;
    if frame.pixels.len() != numbers {
        let expected = format!(
            "{numbers} numbers, {} channels of {height} x {width}",
            input.channels
        );
        return unfit("a frame", expected, frame.pixels.len().to_string());
    }
    if frame.scaling.len() != input.channels {
        let expected = input.channels.to_string();
        return unfit(
            "a frame's scalings",
            expected,
            frame.scaling.len().to_string(),
        );
    }
    if frame.finish == Finish::ScaleBack && output.channels != input.channels {
        let expected = format!("{} channels, as the frame has", input.channels);
        return unfit(
            "the network's result",
            expected,
            output.channels.to_string(),
        );
    }
    Ok(())
}

/// Where the rows and the columns of the extended frame stand in the frame.
pub(super) fn sources(windows: &Windows) -> [Vec<usize>; 2] {
    [0, 1].map(|axis| {
        let extended = windows.frame[axis] + windows.before[axis] + windows.after[axis];
        (0..extended)
            .map(|position| windows.source(axis, position))
            .collect()
    })
}
