//! Writes the corpus of hostile and innocent pickles into a folder, for other scanners to look at. Nothing is run; but
//! never unpickle these files.
//!
//! ```sh
//! cargo run --example write_corpus -- FOLDER
//! ```

#[path = "../tests/suite/pickle_files.rs"]
mod pickle_files;
#[path = "../tests/suite/pickle_hostile.rs"]
mod pickle_hostile;
#[path = "../tests/suite/pickle_innocent.rs"]
mod pickle_innocent;
#[path = "../tests/suite/pickle_kit.rs"]
mod pickle_kit;

use std::fs;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os().nth(1);
    let folder = PathBuf::from(folder.ok_or("usage: write_corpus FOLDER")?);
    let cases = pickle_hostile::cases();
    let cases = cases
        .iter()
        .chain(&*pickle_innocent::cases())
        .map(pickle_files::file_of)
        .collect::<Vec<_>>();
    let mut count = 0;
    for file in cases.into_iter().chain(pickle_files::files()) {
        let folder = folder.join(if file.hostile { "hostile" } else { "innocent" });
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(file.name), file.bytes)?;
        count += 1;
    }
    println!("{count} files in {}", folder.display());
    Ok(())
}
