//! The commands that look after the local cache.

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  bundle cache dir\n  bundle cache prune --max-size 100MB\n  bundle cache clear"
)]
pub struct CacheArgs {
    #[command(subcommand)]
    pub command: CacheCommand,
}

#[derive(Debug, Subcommand)]
pub enum CacheCommand {
    /// Print where the cache is
    #[command(after_help = "Example:\n  du -sh \"$(bundle cache dir)\"")]
    Dir,
    /// Remove what was used longest ago
    #[command(after_help = "Example:\n  bundle cache prune --max-size 100MB")]
    Prune {
        /// How much may stay: bytes, or with kB, MB, GB, KiB, MiB, GiB
        #[arg(long, value_name = "SIZE", value_parser = parse_size)]
        max_size: u64,
        /// Report as JSON on standard output
        #[arg(long)]
        json: bool,
    },
    /// Remove all of it
    #[command(after_help = "Example:\n  bundle cache clear")]
    Clear,
}

fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits
        .trim()
        .parse()
        .map_err(|_| format!("expected a whole number of bytes, found `{text}`"))?;
    let unit: u64 = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" | "k" => 1000,
        "mb" | "m" => 1_000_000,
        "gb" | "g" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        other => {
            return Err(format!(
                "expected kB, MB, GB, KiB, MiB or GiB, found `{other}`"
            ));
        }
    };
    number
        .checked_mul(unit)
        .ok_or_else(|| format!("`{text}` is too large"))
}
