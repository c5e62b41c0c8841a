//! Pictures for a first look at a result: panels side by side with captions, a scale, and a legend.

mod canvas;
mod scaled;

use std::collections::HashMap;

use canvas::{Canvas, Colour, FAINT, INK, Type};
pub use scaled::Stretch;
use scaled::Zoom;

/// What is shown of one frame.
#[derive(Clone, Debug)]
pub struct Preview {
    /// Lines above the panels; long ones are broken.
    pub title: Vec<String>,
    /// The frame's height and width, in pixels.
    pub size: [usize; 2],
    pub panels: Vec<Panel>,
    /// The side of a pixel in micrometres, if it is known: then there is a scale bar, else there are ticks that count
    /// pixels.
    pub pixel: Option<f64>,
    /// The names of the classes that [`Overlay::Classes`] has, in their order.
    pub legend: Vec<String>,
}

/// One view of the frame.
#[derive(Clone, Debug)]
pub struct Panel {
    pub caption: String,
    /// Grey levels, `[height, width]`; black without them.
    pub grey: Option<Grey>,
    pub overlay: Option<Overlay>,
}

/// Numbers, and which of them are black and white.
#[derive(Clone, Debug)]
pub struct Grey {
    pub values: Vec<f32>,
    pub stretch: Stretch,
}

/// What is drawn over the grey levels, from labels `[height, width]`, 0 being the background.
#[derive(Clone, Debug)]
pub enum Overlay {
    /// The borders of the objects.
    Outlines(Vec<u32>),
    /// The objects, neighbours in different colours.
    Objects(Vec<u32>),
    /// The objects in the colours of their classes: numbers into the legend.
    Classes {
        labels: Vec<u32>,
        classes: HashMap<u32, usize>,
    },
}

/// Okabe and Ito's colours, which people tell apart whatever colours they see.
const CLASS_COLOURS: [Colour; 7] = [
    [230, 159, 0],
    [86, 180, 233],
    [0, 158, 115],
    [240, 228, 66],
    [0, 114, 178],
    [213, 94, 0],
    [204, 121, 167],
];
const OUTLINE: Colour = [255, 214, 0];
/// Where there is no number.
const NO_NUMBER: Colour = [255, 0, 255];

const MARGIN: usize = 16;
const GAP: usize = 20;
const TICK: usize = 5;
/// The longest side of a panel beside another, and of panels above each other.
const SIDE: usize = 512;
const WIDE: usize = 960;
/// No picture is narrower, so that titles have room.
const NARROWEST: usize = 420;

/// Draws a preview.
///
/// # Errors
/// Fails if PNG cannot hold it.
pub fn draw(preview: &Preview) -> Result<Vec<u8>, png::EncodingError> {
    let layout = Layout::of(preview);
    let mut canvas = Canvas::new(layout.width, layout.height);
    let mut y = MARGIN;
    for (index, line) in layout.title.iter().enumerate() {
        let (size, colour) = match index < layout.bold {
            true => (Type::Title, INK),
            false => (Type::Small, FAINT),
        };
        canvas.text(line, [MARGIN, y], size, colour);
        y += size.line();
    }
    for (panel, corner) in preview.panels.iter().zip(&layout.corners) {
        layout.panel(&mut canvas, preview, panel, *corner);
    }
    layout.legend(&mut canvas, preview);
    canvas.png()
}

/// Where everything stands, in the picture's pixels.
struct Layout {
    zoom: Zoom,
    width: usize,
    height: usize,
    title: Vec<String>,
    /// How many lines of the title are bold.
    bold: usize,
    /// The corner of each panel's caption.
    corners: Vec<[usize; 2]>,
    /// The room left of a panel for the numbers at the ticks.
    left: usize,
    legend: Vec<[usize; 2]>,
}

impl Layout {
    fn of(preview: &Preview) -> Self {
        let [height, width] = preview.size;
        // Panels that are much wider than high stand above each other.
        let stacked = width as f64 > 1.8 * height as f64;
        let zoom = Zoom::to_fit(preview.size, if stacked { WIDE } else { SIDE });
        let left = match preview.pixel {
            Some(_) => 0,
            None => Type::Small.width(&height.to_string()) + TICK + 3,
        };
        let shown = zoom.length(width) + left;
        let captions = preview
            .panels
            .iter()
            .map(|panel| Type::Small.width(&panel.caption));
        let caption = captions.max().unwrap_or(0);
        let cell = shown.max(caption + left);
        let below = TICK + 3 + Type::Small.line();
        let tall = Type::Small.line() + zoom.length(height) + below;
        let count = preview.panels.len().max(1);
        let (columns, rows) = if stacked { (1, count) } else { (count, 1) };
        let inner = columns * cell + (columns - 1) * GAP;
        let inner = inner.max(NARROWEST - 2 * MARGIN);
        let (title, bold) = broken_title(&preview.title, inner);
        let title_height = bold * Type::Title.line() + (title.len() - bold) * Type::Small.line();
        let top = MARGIN + title_height + 8;
        let corners = (0..count)
            .map(|index| {
                let (column, row) = (index % columns, index / columns);
                [MARGIN + column * (cell + GAP), top + row * (tall + 6)]
            })
            .collect();
        let bottom = top + rows * (tall + 6);
        let legend = legend_places(&preview.legend, inner, bottom + 2);
        let end = legend
            .last()
            .map_or(bottom, |place| place[1] + Type::Small.line());
        Self {
            zoom,
            width: inner + 2 * MARGIN,
            height: end + MARGIN - 6,
            title,
            bold,
            corners,
            left,
            legend,
        }
    }

    fn panel(&self, canvas: &mut Canvas, preview: &Preview, panel: &Panel, corner: [usize; 2]) {
        let [height, width] = preview.size.map(|length| self.zoom.length(length));
        let [x, y] = [corner[0] + self.left, corner[1] + Type::Small.line()];
        canvas.text(&panel.caption, [x, corner[1]], Type::Small, INK);
        canvas.fill([x - 1, y - 1], [width + 2, height + 2], FAINT);
        for row in 0..height {
            for column in 0..width {
                let colour = self.colour(panel, preview.size, row, column);
                canvas.set(x + column, y + row, colour);
            }
        }
        match preview.pixel {
            Some(pixel) => self.scale_bar(canvas, pixel, [x, y + height + TICK + 2], width),
            None => self.ticks(canvas, preview.size, [x, y]),
        }
    }

    fn colour(&self, panel: &Panel, size: [usize; 2], row: usize, column: usize) -> Colour {
        let ground = match &panel.grey {
            None => [0; 3],
            Some(grey) => match grey
                .stretch
                .grey(self.zoom.mean(&grey.values, size, row, column))
            {
                Some(level) => [level; 3],
                None => NO_NUMBER,
            },
        };
        let over = |labels: &[u32]| {
            let label = self.zoom.label(labels, size, row, column);
            (
                label,
                label != 0 && self.is_border(labels, size, row, column, label),
            )
        };
        match &panel.overlay {
            None => ground,
            Some(Overlay::Outlines(labels)) => match over(labels) {
                (_, true) => OUTLINE,
                _ => ground,
            },
            Some(Overlay::Objects(labels)) => match over(labels) {
                (0, _) => ground,
                (label, _) => object_colour(label),
            },
            Some(Overlay::Classes { labels, classes }) => {
                let (label, border) = over(labels);
                match classes.get(&label) {
                    None => ground,
                    Some(class) if border => class_colour(*class),
                    Some(class) => mixed(ground, class_colour(*class)),
                }
            }
        }
    }

    /// Whether a neighbour in the picture is of another label; what lies outside is.
    fn is_border(
        &self,
        labels: &[u32],
        size: [usize; 2],
        row: usize,
        column: usize,
        label: u32,
    ) -> bool {
        let [height, width] = size.map(|length| self.zoom.length(length));
        let thickness = match self.zoom {
            Zoom::Enlarged(factor) => (factor / 2).clamp(1, 3),
            Zoom::Reduced(_) => 1,
        };
        let differs = |y: usize, x: usize| self.zoom.label(labels, size, y, x) != label;
        (row < thickness || differs(row - thickness, column))
            || (row + thickness >= height || differs(row + thickness, column))
            || (column < thickness || differs(row, column - thickness))
            || (column + thickness >= width || differs(row, column + thickness))
    }

    fn scale_bar(&self, canvas: &mut Canvas, pixel: f64, [x, y]: [usize; 2], width: usize) {
        let shown = pixel / self.zoom.factor();
        let length = round_down(shown * width as f64 / 3.0);
        let pixels = (length / shown).round() as usize;
        canvas.fill([x, y + 4], [pixels, 4], INK);
        let text = match length {
            length if length >= 1000.0 => format!("{} mm", length / 1000.0),
            length if length < 1.0 => format!("{} nm", (length * 1000.0).round()),
            length => format!("{length} µm"),
        };
        canvas.text(&text, [x + pixels + 8, y], Type::Small, INK);
    }

    /// Ticks below and left, with the numbers of rows and columns.
    fn ticks(&self, canvas: &mut Canvas, size: [usize; 2], [x, y]: [usize; 2]) {
        let [height, width] = size.map(|length| self.zoom.length(length));
        let steps = |length: usize, room: f64| {
            let step = round_up(room / self.zoom.factor()).max(1.0) as usize;
            (0..length).step_by(step)
        };
        let middle = |position: usize| {
            let place = (position as f64 + 0.5) * self.zoom.factor();
            place as usize
        };
        let widest = Type::Small.width(&size[1].to_string()) as f64;
        for column in steps(size[1], widest + 24.0) {
            let place = x + middle(column);
            canvas.fill([place, y + height + 1], [1, TICK], FAINT);
            let text = column.to_string();
            let start = place.saturating_sub(Type::Small.width(&text) / 2);
            let start =
                start.min(x + width.max(Type::Small.width(&text)) - Type::Small.width(&text));
            canvas.text(&text, [start, y + height + TICK + 2], Type::Small, FAINT);
        }
        for row in steps(size[0], 36.0) {
            let place = y + middle(row);
            canvas.fill([x - 1 - TICK, place], [TICK, 1], FAINT);
            let text = row.to_string();
            let start = (x - TICK - 3).saturating_sub(Type::Small.width(&text));
            canvas.text(&text, [start, place.saturating_sub(6)], Type::Small, FAINT);
        }
    }

    fn legend(&self, canvas: &mut Canvas, preview: &Preview) {
        for (class, (name, [x, y])) in preview.legend.iter().zip(&self.legend).enumerate() {
            canvas.fill([*x, *y + 1], [11, 11], class_colour(class));
            canvas.text(name, [*x + 17, *y], Type::Small, INK);
        }
    }
}

/// The title in lines that fit: the first bold, the others small.
fn broken_title(title: &[String], width: usize) -> (Vec<String>, usize) {
    let mut lines = Vec::new();
    let mut bold = 0;
    for (index, line) in title.iter().enumerate() {
        let size = if index == 0 { Type::Title } else { Type::Small };
        let letters: Vec<char> = line.chars().collect();
        for piece in letters.chunks((width / size.advance()).max(1)) {
            lines.push(piece.iter().collect());
        }
        if index == 0 {
            bold = lines.len();
        }
    }
    (lines, bold)
}

/// Where each name of the legend begins: in lines as wide as the panels.
fn legend_places(names: &[String], width: usize, top: usize) -> Vec<[usize; 2]> {
    let (mut x, mut y) = (MARGIN, top);
    let mut places = Vec::new();
    for name in names {
        let wide = 17 + Type::Small.width(name) + 20;
        if x > MARGIN && x + wide > MARGIN + width + 20 {
            (x, y) = (MARGIN, y + Type::Small.line());
        }
        places.push([x, y]);
        x += wide;
    }
    places
}

fn class_colour(class: usize) -> Colour {
    CLASS_COLOURS[class % CLASS_COLOURS.len()]
}

/// A bright colour for a label; consecutive labels are far apart on the colour wheel.
fn object_colour(label: u32) -> Colour {
    let turn = (f64::from(label) * 0.618_033_988_749_895).fract() * 6.0;
    let light = if label.is_multiple_of(2) { 1.0 } else { 0.8 };
    let channel = |offset: f64| {
        let phase = (turn + offset) % 6.0;
        let level = (2.0 - (phase - 3.0).abs()).clamp(0.0, 1.0);
        ((0.25 + 0.75 * (1.0 - level)) * light * 255.0) as u8
    };
    [channel(0.0), channel(4.0), channel(2.0)]
}

fn mixed(ground: Colour, over: Colour) -> Colour {
    let mut mixed = ground;
    for (ground, over) in mixed.iter_mut().zip(over) {
        *ground = ((u16::from(*ground) * 11 + u16::from(over) * 9) / 20) as u8;
    }
    mixed
}

/// The largest of 1, 2 and 5 times a power of ten that is not above `length`.
fn round_down(length: f64) -> f64 {
    let power = power_of_ten(length);
    let factors = [5.0, 2.0, 1.0].map(|factor| factor * power);
    factors
        .into_iter()
        .find(|number| *number <= length)
        .unwrap_or(power)
}

/// The smallest of 1, 2 and 5 times a power of ten that is not below `length`.
fn round_up(length: f64) -> f64 {
    let power = power_of_ten(length);
    let factors = [1.0, 2.0, 5.0].map(|factor| factor * power);
    factors
        .into_iter()
        .find(|number| *number >= length)
        .unwrap_or(10.0 * power)
}

/// The power of ten below or at `length`; 1 if it has none.
fn power_of_ten(length: f64) -> f64 {
    match length.is_finite() && length > 0.0 {
        true => 10f64.powf(length.log10().floor()),
        false => 1.0,
    }
}
