//! What form a result is written in: numbers of a type, a mask, or numbered objects.

use std::path::Path;

use crate::image::{Info, PixelType, Pixels, connected_components};

/// What the user asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Asked {
    pub kind: Option<OutputType>,
    pub threshold: Option<f32>,
}

/// The kinds of output that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputType {
    Float32,
    Uint16,
    Uint8,
    Labels,
}

/// The form of an image that is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Form {
    /// The numbers themselves.
    Float32,
    /// Rounded to even, and clipped to 0..=65535.
    Uint16,
    /// Rounded to even, and clipped to 0..=255.
    Uint8,
    /// 255 where the largest of the channels is above the threshold, as ImageJ's masks are, else 0.
    Mask { threshold: f32 },
    /// The mask's 8-connected objects, numbered from 1 in each frame, row by row.
    Labels { threshold: f32, wide: bool },
}

/// What a model makes, as far as it decides what can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Makes {
    Image,
    Probabilities,
}

/// Why a form makes no sense for a model, or a frame does not fit into one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    #[error(
        "--threshold and `--output-type labels` are for segmentation: this model makes an image"
    )]
    NoMask,
    #[error("a mask is written as uint8, 0 and 255, or as labels")]
    MaskType,
    #[error("probabilities are from 0 to 1: whole numbers would lose them")]
    Rounded,
    #[error(
        "the network's own range is about 0 to 1 (`--no-rescale`): whole numbers would lose it"
    )]
    OwnRange,
    #[error("a PNG holds uint8 or uint16, and this result is float32: add {}, or name the output `.tif` or `.npy`", options(*makes))]
    Png { makes: Makes },
    #[error("an image that is written is an ImageJ TIFF, and no OME-TIFF: name the output `.tif`")]
    Ome,
}

/// What makes whole numbers of a result.
fn options(makes: Makes) -> &'static str {
    match makes {
        Makes::Image => "`--output-type uint16`",
        Makes::Probabilities => "`--threshold 0.5` or `--output-type labels`",
    }
}

/// What a mask is cut at where nothing else is asked for, as in HiTMicTools.
const THRESHOLD: f32 = 0.5;

impl Form {
    /// The form in which a model that makes such images writes what is asked for.
    ///
    /// # Errors
    /// Fails if that makes no sense.
    pub fn of(asked: Asked, makes: Makes) -> Result<Self, FormError> {
        use OutputType::{Float32, Labels, Uint8, Uint16};
        match (makes, asked.kind, asked.threshold) {
            (_, None | Some(Float32), None) => Ok(Self::Float32),
            (Makes::Image, _, Some(_)) | (Makes::Image, Some(Labels), _) => Err(FormError::NoMask),
            (Makes::Image, Some(Uint16), _) => Ok(Self::Uint16),
            (Makes::Image, Some(Uint8), _) => Ok(Self::Uint8),
            (Makes::Probabilities, Some(Labels), threshold) => Ok(Self::Labels {
                threshold: threshold.unwrap_or(THRESHOLD),
                wide: false,
            }),
            (Makes::Probabilities, None | Some(Uint8), Some(threshold)) => {
                Ok(Self::Mask { threshold })
            }
            (Makes::Probabilities, _, Some(_)) => Err(FormError::MaskType),
            (Makes::Probabilities, _, None) => Err(FormError::Rounded),
        }
    }

    /// Whether a file of that name can hold the form.
    ///
    /// # Errors
    /// Fails if it cannot.
    pub fn check_name(self, path: &Path, makes: Makes) -> Result<(), FormError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.to_lowercase();
        if name.ends_with(".png") && self.kind() == PixelType::F32 {
            return Err(FormError::Png { makes });
        }
        if name.ends_with(".ome.tif") || name.ends_with(".ome.tiff") {
            return Err(FormError::Ome);
        }
        Ok(())
    }

    /// The same form for more objects than uint16 can number, in float32, which ImageJ opens as well; `None` if it is wide enough.
    pub fn widened(self) -> Option<Self> {
        match self {
            Self::Labels {
                threshold,
                wide: false,
            } => Some(Self::Labels {
                threshold,
                wide: true,
            }),
            _ => None,
        }
    }

    /// The type of the numbers that are written.
    pub fn kind(self) -> PixelType {
        match self {
            Self::Float32 | Self::Labels { wide: true, .. } => PixelType::F32,
            Self::Uint16 | Self::Labels { wide: false, .. } => PixelType::U16,
            Self::Uint8 | Self::Mask { .. } => PixelType::U8,
        }
    }

    /// What is written of a result: masks and labels are of all its channels together.
    pub fn info(self, result: &Info) -> Info {
        let mut info = *result;
        info.kind = self.kind();
        if matches!(self, Self::Mask { .. } | Self::Labels { .. }) {
            info.axes.channels = 1;
            info.axes.named.channels = false;
        }
        info
    }

    /// The planes that are written of a frame's result, a list of its channels; `None` if it has more objects than the
    /// form can number.
    pub fn planes(self, result: &[Vec<f32>], width: usize) -> Option<Vec<Pixels<'static>>> {
        let each = |make: &dyn Fn(&[f32]) -> Pixels<'static>| {
            result.iter().map(|plane| make(plane)).collect()
        };
        let mask = |threshold: f32| -> Vec<bool> {
            let area = result.first().map_or(0, Vec::len);
            let above = |at: usize| result.iter().any(|plane| plane[at] > threshold);
            (0..area).map(above).collect()
        };
        Some(match self {
            Self::Float32 => each(&|plane| Pixels::F32(plane.to_vec().into())),
            // `as` clips, and makes 0 of what is no number.
            Self::Uint16 => each(&|plane| {
                Pixels::U16(plane.iter().map(|v| v.round_ties_even() as u16).collect())
            }),
            Self::Uint8 => {
                each(&|plane| Pixels::U8(plane.iter().map(|v| v.round_ties_even() as u8).collect()))
            }
            Self::Mask { threshold } => {
                let mask = mask(threshold).into_iter();
                vec![Pixels::U8(
                    mask.map(|inside| if inside { 255 } else { 0 }).collect(),
                )]
            }
            Self::Labels { threshold, wide } => {
                let labels = connected_components(&mask(threshold), width);
                if wide {
                    vec![Pixels::F32(
                        labels.iter().map(|label| *label as f32).collect(),
                    )]
                } else {
                    let labels = labels.iter().map(|label| u16::try_from(*label).ok());
                    vec![Pixels::U16(labels.collect::<Option<_>>()?)]
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(kind: Option<OutputType>, threshold: Option<f32>) -> Asked {
        Asked { kind, threshold }
    }

    #[test]
    fn numbers_are_rounded_and_clipped() {
        let result = [vec![-3.0, 0.5, 1.5, 254.6, 70000.0, f32::NAN]];
        let planes = |form: Form| form.planes(&result, 3).unwrap();
        assert_eq!(
            planes(Form::Uint8),
            [Pixels::U8(vec![0, 0, 2, 255, 255, 0].into())]
        );
        assert_eq!(
            planes(Form::Uint16),
            [Pixels::U16(vec![0, 0, 2, 255, 65535, 0].into())]
        );
        let two = [vec![-3.0, 0.5], vec![1.5, 254.6]];
        let planes = Form::Float32.planes(&two, 2).unwrap();
        assert_eq!(planes, two.map(|plane| Pixels::F32(plane.into())));
    }

    #[test]
    fn masks_and_labels_are_of_all_channels_together() {
        let result = [
            vec![0.9, 0.5, 0.1, 0.0, 0.0, 0.2],
            vec![0.1, 0.0, 0.0, 0.7, 0.0, 0.6],
        ];
        let mask = Form::of(asked(None, Some(0.5)), Makes::Probabilities).unwrap();
        assert_eq!(
            mask.planes(&result, 3).unwrap(),
            [Pixels::U8(vec![255, 0, 0, 255, 0, 255].into())]
        );
        let labels = Form::of(asked(Some(OutputType::Labels), None), Makes::Probabilities).unwrap();
        assert_eq!(
            labels.planes(&result, 3).unwrap(),
            [Pixels::U16(vec![1, 0, 0, 1, 0, 2].into())]
        );
        assert_eq!(labels.kind(), PixelType::U16);
    }

    #[test]
    fn more_objects_than_uint16_numbers_are_written_as_float32() {
        // Every second pixel of every second row is an object.
        let (width, height) = (1024, 258);
        let mut result = vec![0.0; width * height];
        for row in (0..height).step_by(2) {
            for column in (0..width).step_by(2) {
                result[row * width + column] = 1.0;
            }
        }
        let form = Form::of(
            asked(Some(OutputType::Labels), Some(0.2)),
            Makes::Probabilities,
        )
        .unwrap();
        let result = [result];
        assert_eq!(form.planes(&result, width), None);
        let wide = form.widened().unwrap();
        let Pixels::F32(labels) = &wide.planes(&result, width).unwrap()[0] else {
            panic!("not float32")
        };
        assert_eq!(labels.iter().copied().fold(0.0, f32::max), 66048.0);
        assert_eq!((wide.kind(), wide.widened()), (PixelType::F32, None));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        use OutputType::{Labels, Uint8, Uint16};
        let of = |kind, threshold, makes| Form::of(asked(kind, threshold), makes).unwrap_err();
        assert_eq!(of(None, Some(0.5), Makes::Image), FormError::NoMask);
        assert_eq!(of(Some(Labels), None, Makes::Image), FormError::NoMask);
        assert_eq!(
            of(Some(Uint16), Some(0.5), Makes::Probabilities),
            FormError::MaskType
        );
        assert_eq!(
            of(Some(Uint8), None, Makes::Probabilities),
            FormError::Rounded
        );
    }
}
