//! Configs, good and bad.
