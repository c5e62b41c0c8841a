//! A picture in red, green and blue, with text on it, written as PNG.

use std::convert::Infallible;

use embedded_graphics::mono_font::iso_8859_1::{FONT_8X13, FONT_9X15_BOLD};
use embedded_graphics::mono_font::{MonoFont, MonoTextStyle};
use embedded_graphics::pixelcolor::{Rgb888, RgbColor};
use embedded_graphics::prelude::{
    Dimensions, DrawTarget, Drawable, OriginDimensions, Pixel, Point, Size,
};
use embedded_graphics::primitives::Rectangle;
use embedded_graphics::text::{Baseline, Text};

/// A colour: red, green, blue.
pub type Colour = [u8; 3];

pub const WHITE: Colour = [255; 3];
pub const INK: Colour = [32; 3];
pub const FAINT: Colour = [96; 3];

/// A picture on a white ground. What is drawn beside it is lost.
#[derive(Clone, Debug)]
pub struct Canvas {
    width: usize,
    height: usize,
    /// Row by row.
    pixels: Vec<Colour>,
}

/// How large text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Nine by fifteen pixels a letter, bold.
    Title,
    /// Eight by thirteen.
    Small,
}

impl Type {
    fn font(self) -> &'static MonoFont<'static> {
        match self {
            Self::Title => &FONT_9X15_BOLD,
            Self::Small => &FONT_8X13,
        }
    }

    /// The width of a letter.
    pub fn advance(self) -> usize {
        self.font().character_size.width as usize
    }

    /// From one line to the next.
    pub fn line(self) -> usize {
        self.font().character_size.height as usize + 3
    }

    /// The width of a line of text.
    pub fn width(self, text: &str) -> usize {
        text.chars().count() * self.advance()
    }
}

impl Canvas {
    pub fn new(width: usize, height: usize) -> Self {
        let pixels = vec![WHITE; width * height];
        Self {
            width,
            height,
            pixels,
        }
    }

    pub fn set(&mut self, x: usize, y: usize, colour: Colour) {
        if x < self.width && y < self.height {
            self.pixels[y * self.width + x] = colour;
        }
    }

    /// Fills a rectangle.
    pub fn fill(&mut self, [x, y]: [usize; 2], [width, height]: [usize; 2], colour: Colour) {
        for row in y..(y + height).min(self.height) {
            for column in x..(x + width).min(self.width) {
                self.set(column, row, colour);
            }
        }
    }

    /// Writes a line of text whose upper left corner is there. Letters beyond Latin-1 show as question marks.
    pub fn text(&mut self, text: &str, [x, y]: [usize; 2], size: Type, colour: Colour) {
        let [red, green, blue] = colour;
        let style = MonoTextStyle::new(size.font(), Rgb888::new(red, green, blue));
        let corner = Point::new(to_i32(x), to_i32(y));
        let Ok(_) = Text::with_baseline(text, corner, style, Baseline::Top).draw(self);
    }

    /// The bytes of a PNG file.
    ///
    /// # Errors
    /// Fails if the picture is too large for PNG, or there is no memory for it.
    pub fn png(&self) -> Result<Vec<u8>, png::EncodingError> {
        let mut bytes = Vec::new();
        let side = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let mut encoder = png::Encoder::new(&mut bytes, side(self.width), side(self.height));
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(self.pixels.as_flattened())?;
        writer.finish()?;
        Ok(bytes)
    }
}

fn to_i32(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        let side = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        Size::new(side(self.width), side(self.height))
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(
        &mut self,
        pixels: I,
    ) -> Result<(), Infallible> {
        let inside: Rectangle = self.bounding_box();
        for Pixel(point, colour) in pixels {
            if inside.contains(point) {
                let (x, y) = (point.x as usize, point.y as usize);
                self.set(x, y, [colour.r(), colour.g(), colour.b()]);
            }
        }
        Ok(())
    }
}
