//! Prints the tensor digest of a PyTorch checkpoint, and what its audit refuses.

use std::path::Path;
use std::process::ExitCode;

use model_bundle::blob::Blob;
use model_bundle::progress::Silent;
use model_bundle::weights::WeightsError;
use model_bundle::weights::torch;

fn main() -> ExitCode {
    let Some(path) = std::env::args_os().nth(1) else {
        eprintln!("usage: tensor_digest CHECKPOINT.pth");
        return ExitCode::from(2);
    };
    match digest(Path::new(&path)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn digest(path: &Path) -> Result<(), WeightsError> {
    let checkpoint = torch::read(&Blob::open(path)?, path, &Silent)?;
    for finding in checkpoint.audit.refused(&[]) {
        println!("refused: {finding}");
    }
    for note in &checkpoint.notes {
        println!("note: {note}");
    }
    match checkpoint.digest(path, &Silent)? {
        Some(digest) => println!("{digest}"),
        None => println!("{:?}", checkpoint.content),
    }
    Ok(())
}
