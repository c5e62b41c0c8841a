//! What models are for: images, label images or tables in, images or tables out.

pub mod pi;
pub mod table;
