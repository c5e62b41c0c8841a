//! Audits files of weights without running a byte of them: a line for each, with the verdict and the first reason.
//!
//! ```sh
//! cargo run --example audit_files -- FILE...
//! ```

use std::path::Path;

use model_bundle::blob::Blob;
use model_bundle::progress::Silent;
use model_bundle::weights;

fn main() {
    for path in std::env::args_os().skip(1) {
        let path = Path::new(&path);
        let read = Blob::open(path)
            .map_err(Into::into)
            .and_then(|blob| weights::read(&blob, path, &Silent));
        let reason = match &read {
            Err(error) => Some(error.to_string()),
            Ok(weights) => weights.audit.findings.first().map(ToString::to_string),
        };
        let verdict = if reason.is_some() {
            "refused"
        } else {
            "passes"
        };
        println!(
            "{verdict}\t{}\t{}",
            path.display(),
            reason.unwrap_or_default()
        );
    }
}
