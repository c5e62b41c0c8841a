//! The `bundle` program: everything is in [`model_bundle::cli`].

fn main() -> std::process::ExitCode {
    model_bundle::cli::main()
}
