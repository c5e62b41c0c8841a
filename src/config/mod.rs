//! The bundle config: TOML or YAML, checked whole.
