//! Focus restoration and segmentation: frames of images in, images of the same size out, as many under way as the
//! device wants.

use std::collections::VecDeque;
use std::sync::Arc;

use super::args::FrameArgs;
use super::cause::of_no_number;
use crate::exec::{ExecError, Finish, Frame, Profile, Session};
use crate::image::{Blending, PixelType, Pixels, ScaleError, Windows};
use crate::progress::{Progress, Silent};

/// A network that turns frames into frames. It is used for any number of files, whatever their sizes.
pub struct Frames {
    session: Box<dyn Session>,
    args: FrameArgs,
    /// The task's own.
    usual: Blending,
    blending: Blending,
    finish: Finish,
    /// Whether `finish` is left out.
    raw: bool,
    /// Whether a network of one channel takes the frame's channels one after another.
    one_by_one: bool,
    /// Those of the frames' size.
    windows: Option<Arc<Windows>>,
}

/// A frame of a file.
#[derive(Clone, Debug)]
pub struct FrameInput<'a> {
    /// Its number, from 0, for messages and for who takes the result.
    pub frame: usize,
    /// Its channels, each `[height, width]`.
    pub planes: Vec<Pixels<'a>>,
    /// Height and width.
    pub size: [usize; 2],
}

/// What became of a frame.
#[derive(Clone, Debug, PartialEq)]
pub struct FrameOutput {
    /// The number of the frame.
    pub frame: usize,
    /// The result's channels, each `[height, width]`.
    pub planes: Vec<Vec<f32>>,
    /// Height and width, the frame's.
    pub size: [usize; 2],
}

/// Why frames were not run.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The network is none for the task.
    #[error("{what}: expected {expected}, found {found}")]
    Unfit {
        what: String,
        expected: String,
        found: String,
    },
    #[error("frame {frame}, channel {channel}, both counted from 0: {source}")]
    Scale {
        frame: usize,
        channel: usize,
        source: ScaleError,
    },
    /// What comes out of a finite frame is not: nobody should measure in it.
    #[error(
        "frame {frame}, channel {channel} of the result, row {row}, column {column}, all counted from 0: expected a finite number, found {value}: {cause}"
    )]
    NotFinite {
        frame: usize,
        channel: usize,
        row: usize,
        column: usize,
        value: f32,
        /// What may be the reason.
        cause: &'static str,
    },
    #[error(transparent)]
    Exec(#[from] ExecError),
}

/// A part of a frame that the session has: all its channels, or one of them.
struct UnderWay {
    frame: usize,
    size: [usize; 2],
    /// Whether the frame is complete with it.
    last: bool,
}

impl Frames {
    /// Focus restoration: windows count by a Gaussian, and the result is scaled back to the frame's numbers unless
    /// `rescale` is false. A network of one channel takes each channel on its own.
    ///
    /// # Errors
    /// Fails if the network is none that restores windows of `patch_size`.
    pub fn focus(
        session: Box<dyn Session>,
        args: FrameArgs,
        rescale: bool,
    ) -> Result<Self, FrameError> {
        let (input, output) = (session.program().input(), session.program().output());
        if input.channels != output.channels {
            return Err(FrameError::Unfit {
                what: "a network that restores focus".to_owned(),
                expected: format!("as many channels out as in, {}", input.channels),
                found: output.channels.to_string(),
            });
        }
        let (finish, one_by_one) = match rescale {
            true => (Finish::ScaleBack, input.channels == 1),
            false => (Finish::Keep, input.channels == 1),
        };
        Self::new(session, args, Blending::Gaussian, finish, one_by_one)
    }

    /// Segmentation: all windows count the same, and the result is a probability for each pixel and output channel.
    ///
    /// # Errors
    /// Fails if the network is none that segments windows of `patch_size`.
    pub fn segment(session: Box<dyn Session>, args: FrameArgs) -> Result<Self, FrameError> {
        Self::new(session, args, Blending::Constant, Finish::Sigmoid, false)
    }

    fn new(
        session: Box<dyn Session>,
        args: FrameArgs,
        blending: Blending,
        finish: Finish,
        one_by_one: bool,
    ) -> Result<Self, FrameError> {
        let side = args.patch_size;
        let (input, output) = (session.program().input(), session.program().output());
        for (what, shape) in [("takes", input), ("gives", output)] {
            if [shape.height, shape.width] != [side, side] {
                return Err(FrameError::Unfit {
                    what: format!("the windows that the network {what}"),
                    expected: format!("{side} x {side}, as `patch_size` says"),
                    found: format!("{} x {}", shape.height, shape.width),
                });
            }
        }
        Ok(Self {
            session,
            args,
            usual: blending,
            blending,
            finish,
            raw: false,
            one_by_one,
            windows: None,
        })
    }

    /// Whether results stay as the network gives them, from the next frame on.
    pub fn keep_raw(&mut self, raw: bool) {
        self.raw = raw;
    }

    /// How windows are blended, from the next frame on; `None` is the task's own way.
    pub fn blend(&mut self, blending: Option<Blending>) {
        let blending = blending.unwrap_or(self.usual);
        if blending != self.blending {
            (self.blending, self.windows) = (blending, None);
        }
    }

    /// What the device did so far ([`Session::profile`]).
    ///
    /// # Errors
    /// Fails if the device does.
    pub fn profile(&mut self) -> Result<Option<Profile>, ExecError> {
        self.session.profile()
    }

    /// How many channels come out for frames of so many channels.
    ///
    /// # Errors
    /// Fails if the network does not take such frames.
    pub fn output_channels(&self, channels: usize) -> Result<usize, FrameError> {
        Ok(self.parts(channels)? * self.session.program().output().channels)
    }

    /// How many windows a frame has, all channels that are run on their own counted: the steps that each frame makes
    /// of a progress bar.
    ///
    /// # Errors
    /// Fails if the network does not take such frames.
    pub fn windows(&mut self, channels: usize, size: [usize; 2]) -> Result<u64, FrameError> {
        if size.contains(&0) {
            return Err(unfit_size(size));
        }
        let parts = self.parts(channels)?;
        Ok((parts * self.windows_of(size).count()) as u64)
    }

    /// Whether the device can hold such frames, whose numbers are of that type.
    ///
    /// # Errors
    /// Fails if it cannot, or the network does not take so many channels.
    pub fn fits(
        &mut self,
        channels: usize,
        size: [usize; 2],
        kind: PixelType,
    ) -> Result<(), FrameError> {
        self.parts(channels)?;
        // Channels that go together do so in float32.
        let bytes = match self.session.program().input().channels {
            1 => kind.size(),
            _ => PixelType::F32.size(),
        };
        let windows = self.windows_of(size);
        Ok(self.session.fits(&windows, bytes)?)
    }

    /// Runs frames from `next` until it has none, and hands the results to `take`, in order. As many frames are under
    /// way as the session wants ([`Session::depth`]), so that memory does not grow with their number.
    ///
    /// # Errors
    /// Fails if a frame is none that the network takes, a result is not finite, the device fails, the user asks to stop,
    /// or `next` or `take` fail.
    pub fn run<'a, E: From<FrameError>>(
        &mut self,
        next: &mut dyn FnMut() -> Result<Option<FrameInput<'a>>, E>,
        take: &mut dyn FnMut(FrameOutput) -> Result<(), E>,
        progress: &dyn Progress,
    ) -> Result<(), E> {
        // What a run that failed has left.
        while self.collect(&Silent)?.is_some() {}
        let mut under_way = VecDeque::new();
        let mut made = Vec::new();
        while let Some(input) = next()? {
            for (part, frame) in self.prepare(input)? {
                while under_way.len() >= self.session.depth().max(1) {
                    self.finish_one(&mut under_way, &mut made, take, progress)?;
                }
                self.session
                    .submit(frame, progress)
                    .map_err(FrameError::from)?;
                under_way.push_back(part);
            }
        }
        while !under_way.is_empty() {
            self.finish_one(&mut under_way, &mut made, take, progress)?;
        }
        Ok(())
    }

    fn collect(&mut self, progress: &dyn Progress) -> Result<Option<Vec<f32>>, FrameError> {
        Ok(self.session.collect(progress)?)
    }

    /// Waits for the earliest part, and hands the frame over that is complete with it. `made` are the channels of the
    /// earlier parts of its frame.
    fn finish_one<E: From<FrameError>>(
        &mut self,
        under_way: &mut VecDeque<UnderWay>,
        made: &mut Vec<Vec<f32>>,
        take: &mut dyn FnMut(FrameOutput) -> Result<(), E>,
        progress: &dyn Progress,
    ) -> Result<(), E> {
        let (Some(part), Some(values)) = (under_way.pop_front(), self.collect(progress)?) else {
            return Err(missing_result().into());
        };
        let area = part.size[0] * part.size[1];
        check_result(&values, &part, made.len(), self.session.is_half())?;
        if values.len() == area {
            made.push(values);
        } else {
            made.extend(values.chunks(area).map(<[f32]>::to_vec));
        }
        if part.last {
            take(FrameOutput {
                frame: part.frame,
                planes: std::mem::take(made),
                size: part.size,
            })?;
        }
        Ok(())
    }

    /// How often the network is run on each window of a frame of so many channels.
    fn parts(&self, channels: usize) -> Result<usize, FrameError> {
        let takes = self.session.program().input().channels;
        match () {
            () if takes == channels => Ok(1),
            () if self.one_by_one && channels > 0 => Ok(channels),
            () => Err(FrameError::Unfit {
                what: "the channels of the image".to_owned(),
                expected: format!(
                    "{takes}, as the network takes; `--channel` chooses one, counted from 0"
                ),
                found: channels.to_string(),
            }),
        }
    }

    fn windows_of(&mut self, size: [usize; 2]) -> Arc<Windows> {
        if let Some(windows) = &self.windows
            && windows.frame == size
        {
            return Arc::clone(windows);
        }
        let (side, overlap) = (self.args.patch_size, self.args.overlap_ratio);
        let windows = Arc::new(Windows::new(size, side, overlap, self.blending));
        self.windows = Some(Arc::clone(&windows));
        windows
    }

    /// What the session is given of a frame, part by part.
    fn prepare<'a>(
        &mut self,
        input: FrameInput<'a>,
    ) -> Result<Vec<(UnderWay, Frame<'a>)>, FrameError> {
        let FrameInput {
            frame,
            planes,
            size,
        } = input;
        let area = size[0].saturating_mul(size[1]);
        if area == 0 || planes.iter().any(|plane| plane.len() != area) {
            return Err(unfit_size(size));
        }
        let parts = self.parts(planes.len())?;
        let windows = self.windows_of(size);
        let mut scaling = Vec::with_capacity(planes.len());
        for (channel, plane) in planes.iter().enumerate() {
            let scale = self.args.scale.of(plane, size[1]);
            scaling.push(scale.map_err(|source| FrameError::Scale {
                frame,
                channel,
                source,
            })?);
        }
        let of = |pixels, scaling| Frame {
            pixels,
            scaling,
            windows: Arc::clone(&windows),
            finish: match self.raw {
                true => Finish::Keep,
                false => self.finish,
            },
        };
        let frames: Vec<Frame<'a>> = if parts == 1 {
            vec![of(together(planes), scaling)]
        } else {
            let each = planes.into_iter().zip(scaling);
            each.map(|(plane, scaling)| of(plane, vec![scaling]))
                .collect()
        };
        let numbered = frames.into_iter().enumerate().map(|(part, made)| {
            let last = part + 1 == parts;
            (UnderWay { frame, size, last }, made)
        });
        Ok(numbered.collect())
    }
}

/// The channels of a frame, one after another, `[channels, height, width]`.
fn together(mut planes: Vec<Pixels<'_>>) -> Pixels<'_> {
    if planes.len() == 1 {
        return planes.remove(0);
    }
    // All that follows is in float32 anyway.
    Pixels::F32(planes.iter().flat_map(Pixels::to_f32).collect())
}

/// Fails at the first number of a part's result that is NaN or infinite; `before` channels of its frame came earlier.
/// `half`: whether it was computed with numbers kept in float16.
fn check_result(
    values: &[f32],
    part: &UnderWay,
    before: usize,
    half: bool,
) -> Result<(), FrameError> {
    let Some(at) = values.iter().position(|value| !value.is_finite()) else {
        return Ok(());
    };
    let [height, width] = part.size;
    Err(FrameError::NotFinite {
        frame: part.frame,
        channel: before + at / (height * width),
        row: at / width % height,
        column: at % width,
        value: values[at],
        cause: of_no_number(half),
    })
}

fn unfit_size([height, width]: [usize; 2]) -> FrameError {
    FrameError::Unfit {
        what: "a frame".to_owned(),
        expected: "planes of its height times its width, which are not 0".to_owned(),
        found: format!("{height} x {width}"),
    }
}

fn missing_result() -> FrameError {
    FrameError::Unfit {
        what: "the device".to_owned(),
        expected: "a result for each frame".to_owned(),
        found: "none".to_owned(),
    }
}
