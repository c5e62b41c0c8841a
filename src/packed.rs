//! The small files that a build writes into the bundle itself.
