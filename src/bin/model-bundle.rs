//! `bundle` under its second name.

fn main() -> std::process::ExitCode {
    model_bundle::cli::main()
}
