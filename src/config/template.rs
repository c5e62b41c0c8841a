//! Configs written for the user: a starter to fill in.

/// A commented `bundle.toml` to start from.
pub fn starter() -> &'static str {
    include_str!("starter.toml")
}
