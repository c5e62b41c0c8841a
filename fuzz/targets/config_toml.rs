//! A `bundle.toml`: see `check`.
#![no_main]

use model_bundle_fuzz::config::check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check("bundle.toml", data));
