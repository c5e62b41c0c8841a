//! The picture of a frame: what went in beside what came out.

use std::collections::HashMap;

use crate::image::preview::{Grey, Overlay, Panel, Preview, Stretch};

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
    pub fn restored(self, values: Vec<f32>, same_unit: bool) -> Preview {
        let stretch = Stretch::of(&self.input);
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

    /// The probabilities of each channel beside the image.
    pub fn probabilities(self, channels: Vec<Vec<f32>>) -> Preview {
        let stretch = Stretch::of(&self.input);
        let mut panels = vec![self.input_panel(stretch, None)];
        let one = channels.len() == 1;
        for (channel, values) in channels.into_iter().enumerate() {
            let name = match one {
                true => "probability, 0 to 1".to_owned(),
                false => format!("channel {channel}, 0 to 1"),
            };
            panels.push(grey(name, values, 1.0));
        }
        self.preview(panels, Vec::new())
    }

    /// A mask of what is above `threshold`, 255 inside and 0 outside, beside the image with its outlines.
    pub fn mask(self, threshold: f32, mask: Vec<f32>) -> Preview {
        let stretch = Stretch::of(&self.input);
        let outlines = mask.iter().map(|v| *v as u32).collect();
        let panels = vec![
            self.input_panel(stretch, Some(Overlay::Outlines(outlines))),
            grey(format!("mask above {threshold}"), mask, 255.0),
        ];
        self.preview(panels, Vec::new())
    }

    /// Numbered objects beside the image with their outlines.
    pub fn objects(self, labels: Vec<u32>) -> Preview {
        let stretch = Stretch::of(&self.input);
        let count = labels.iter().max().copied().unwrap_or(0);
        let panels = vec![
            self.input_panel(stretch, Some(Overlay::Outlines(labels.clone()))),
            Panel {
                caption: format!("labels, {count} objects"),
                grey: None,
                overlay: Some(Overlay::Objects(labels)),
            },
        ];
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
