//! The binary `shardex`: parses, runs, leaves with a documented exit code.

/// Readers allocate what shard writers free, which glibc's allocator does at twice the cost. SQLite uses it, too (feature
/// `override`): each page of its caches cost a system call.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    shardex_cli::run(std::env::args_os()).into()
}
