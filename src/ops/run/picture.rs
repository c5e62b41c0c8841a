//! The picture of a first frame: what went in beside what came out.

use std::collections::HashMap;
use std::path::Path;

use super::form::Form;
use crate::atomic;
use crate::image::Pixels;
use crate::image::preview::{self, Grey, Overlay, Panel, Preview, Stretch};
use crate::runner::TaskError;

/// A frame that was run, as far as every picture shows it.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Lines above the picture: the model; the file and frame.
    pub title: Vec<String>,
    /// Height and width.
    pub size: [usize; 2],
    /// The height and width of a pixel in micrometres.
    pub pixel: Option<[f64; 2]>,
    /// What went in: its first channel.
    pub input: Vec<f32>,
}

/// Objects that were classified.
#[derive(Clone, Debug)]
pub struct Classes {
    pub labels: Vec<u32>,
    /// The class of each label: a number into the names.
    pub classes: HashMap<u32, usize>,
    /// The names of the classes, in the network's order.
    pub names: Vec<String>,
}

impl Shown {
    fn input_panel(&self, stretch: Stretch, overlay: Option<Overlay>) -> Panel {
        Panel {
            caption: format!("input, {stretch}"),
            grey: Some(Grey {
                values: self.input.clone(),
                stretch,
            }),
            overlay,
        }
    }

    fn preview(self, panels: Vec<Panel>, legend: Vec<String>) -> Preview {
        // A bar would be wrong in one direction where pixels are no squares.
        let square = self
            .pixel
            .filter(|[high, wide]| (high - wide).abs() <= 1e-3 * wide.abs());
        Preview {
            title: self.title,
            size: self.size,
            panels,
            pixel: square.map(|[_, wide]| wide),
            legend,
        }
    }

    /// The first channel of a result beside the image it was made of, both from the same black to the same white if they
    /// have the same unit.
    pub fn restored(self, result: Vec<Vec<f32>>, same_unit: bool) -> Preview {
        let stretch = Stretch::of(&self.input);
        let values = result.into_iter().next().unwrap_or_default();
        let shown = match same_unit {
            true => stretch,
            false => Stretch::of(&values),
        };
        let restored = Panel {
            caption: format!("restored, {shown}"),
            grey: Some(Grey {
                values,
                stretch: shown,
            }),
            overlay: None,
        };
        let panels = vec![self.input_panel(stretch, None), restored];
        self.preview(panels, Vec::new())
    }

    /// Probabilities of several channels, or the mask or the objects that were made of them and written as `planes`.
    pub fn segmented(self, form: Form, result: Vec<Vec<f32>>, planes: &[Pixels]) -> Preview {
        let stretch = Stretch::of(&self.input);
        let written = planes.first().map(Pixels::to_f32).unwrap_or_default();
        let objects = || -> Vec<u32> { written.iter().map(|v| *v as u32).collect() };
        let mut panels = Vec::new();
        match form {
            Form::Labels { .. } => {
                let labels = objects();
                let count = labels.iter().max().copied().unwrap_or(0);
                panels.push(self.input_panel(stretch, Some(Overlay::Outlines(labels.clone()))));
                panels.push(Panel {
                    caption: format!("labels, {count} objects"),
                    grey: None,
                    overlay: Some(Overlay::Objects(labels)),
                });
            }
            Form::Mask { threshold } => {
                panels.push(self.input_panel(stretch, Some(Overlay::Outlines(objects()))));
                panels.push(grey(format!("mask above {threshold}"), written, 255.0));
            }
            Form::Float32 | Form::Uint16 | Form::Uint8 => {
                panels.push(self.input_panel(stretch, None));
                let one = result.len() == 1;
                for (channel, values) in result.into_iter().enumerate() {
                    let name = match one {
                        true => "probability, 0 to 1".to_owned(),
                        false => format!("channel {channel}, 0 to 1"),
                    };
                    panels.push(grey(name, values, 1.0));
                }
            }
        }
        self.preview(panels, Vec::new())
    }

    /// Objects in the colours of their classes; the legend counts them.
    pub fn classified(self, classified: Classes) -> Preview {
        let stretch = Stretch::of(&self.input);
        let Classes {
            labels,
            classes,
            names,
        } = classified;
        let legend = names.iter().enumerate().map(|(index, name)| {
            let count = classes.values().filter(|class| **class == index).count();
            format!("{name} ({count})")
        });
        let legend = legend.collect();
        let result = Panel {
            caption: format!("classes of {} objects", classes.len()),
            grey: Some(Grey {
                values: self.input.clone(),
                stretch,
            }),
            overlay: Some(Overlay::Classes { labels, classes }),
        };
        let panels = vec![self.input_panel(stretch, None), result];
        self.preview(panels, legend)
    }
}

/// Numbers from 0, which is black, to `white`.
fn grey(caption: String, values: Vec<f32>, white: f32) -> Panel {
    let stretch = Stretch { black: 0.0, white };
    Panel {
        caption,
        grey: Some(Grey { values, stretch }),
        overlay: None,
    }
}

/// Draws a picture and writes it, whole or not at all.
///
/// # Errors
/// Fails if the disk does.
pub fn write(picture: &Preview, path: &Path) -> Result<(), TaskError> {
    let failed = |error| TaskError::File {
        path: path.to_owned(),
        error,
    };
    let bytes = preview::draw(picture).map_err(|error| failed(error.into()))?;
    atomic::write(path, &bytes).map_err(failed)
}
