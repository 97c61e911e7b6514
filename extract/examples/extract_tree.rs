//! Time of extraction alone: reads the files below a directory into memory, then extracts them again
//! and again. `cargo run --release -p shardex-extract --example extract_tree -- DIR [FILES] [ROUNDS]`

use std::path::{Path, PathBuf};
use std::time::Duration;

use shardex_catalog::Domain;
use shardex_extract::{Extracted, Extractor, Settings};

fn collect(directory: &Path, most: usize, paths: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(directory).expect("a directory that can be listed");
    let mut entries: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    entries.sort();
    for path in entries {
        if paths.len() == most {
            return;
        }
        if path.is_dir() {
            collect(&path, most, paths);
        } else {
            paths.push(path);
        }
    }
}

/// Processor time of this thread, which is steadier than the clock where others work too.
fn processor_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

#[expect(clippy::print_stdout, reason = "a tool for measuring")]
fn main() {
    let mut arguments = std::env::args().skip(1);
    let directory = PathBuf::from(arguments.next().expect("a directory"));
    let mut number =
        |default: usize| arguments.next().map_or(default, |text| text.parse().expect("a number"));
    let (most, rounds) = (number(20_000), number(5));
    let mut paths = Vec::new();
    collect(&directory, most, &mut paths);
    let files: Vec<_> = paths.iter().map(|path| std::fs::read(path).expect("a readable file")).collect();
    let domain = Domain::default();
    let mut extractor = Extractor::new(Settings::default());
    let by_scanner = files
        .iter()
        .filter(|bytes| extractor.extract_by_scanner(&***bytes, bytes.len() as u64, &domain).is_some())
        .count();
    let mut best = Duration::MAX;
    let mut instances = 0;
    for _ in 0..rounds {
        let began = processor_time();
        instances = 0;
        for bytes in &files {
            let extracted = extractor.extract(&**bytes, bytes.len() as u64, &domain);
            instances += usize::from(matches!(extracted, Extracted::Instance(_)));
        }
        best = best.min(processor_time().saturating_sub(began));
    }
    let each = best.as_nanos() as f64 / files.len().max(1) as f64;
    println!(
        "{} files, {instances} instances, {by_scanner} by the scanner, {each:.0} ns a file",
        files.len()
    );
}
