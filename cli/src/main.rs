//! The binary `shardex`: parses, runs, leaves with a documented exit code.

fn main() -> std::process::ExitCode {
    shardex_cli::run(std::env::args_os()).into()
}
