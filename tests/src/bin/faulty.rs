//! shardex with a reader that fails on files of certain names: `crash…` kills the process, `hang…` never
//! comes back, `slow…` takes its time. What no DICOM file is known to do to it, and one may some day.

use std::sync::Arc;

use shardex_catalog::FileName;

fn main() -> std::process::ExitCode {
    let fail = |name: &FileName| {
        if name.as_bytes().starts_with(b"crash") {
            std::process::abort();
        }
        while name.as_bytes().starts_with(b"hang") {
            std::thread::park();
        }
        if name.as_bytes().starts_with(b"slow") {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    };
    shardex_cli::run_with(std::env::args_os(), Some(Arc::new(fail))).into()
}
