//! Writes a tree of synthetic DICOM files; the same arguments give the same bytes.

mod encode;
mod enhanced;
mod headers;
mod layout;
mod modality;
mod names;
mod plan;
mod random;
mod siemens;
mod slices;
mod write;

use std::path::PathBuf;
use std::time::Instant;

use layout::Layout;
use plan::Set;

const USAGE: &str = "usage: bench-generate DIR [--files N] [--set 1|2] [--layout nested|flat|single] [--pixels BYTES] \
[--seed N] [--threads N]

Set 1: CT, MR, PT, US and CR with headers of 2 to 6 KB. Set 2: the same, and 20 % of the files with headers of 80 to
200 KB (MR with CSA headers, enhanced MR). All values are made up. DIR must not exist.";

struct Arguments {
    root: PathBuf,
    files: u64,
    set: Set,
    seed: u64,
    threads: usize,
    settings: write::Settings,
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let settings = write::Settings { layout: Layout::Nested, pixel_bytes: 512 };
    let mut parsed =
        Arguments { root: PathBuf::new(), files: 10_000, set: Set::Small, seed: 1, threads: 2, settings };
    while let Some(argument) = arguments.next() {
        if !argument.starts_with("--") {
            parsed.root = argument.into();
            continue;
        }
        let value = arguments.next().ok_or_else(|| format!("{argument} needs a value"))?;
        let number = || value.parse::<u64>().map_err(|_| format!("{argument} {value}: a number is wanted"));
        match argument.as_str() {
            "--files" => parsed.files = number()?,
            "--seed" => parsed.seed = number()?,
            "--threads" => parsed.threads = usize::try_from(number()?.clamp(1, 64)).unwrap_or(1),
            "--pixels" => parsed.settings.pixel_bytes = usize::try_from(number()?.min(1 << 24)).unwrap_or(0),
            "--set" => parsed.set = if number()? == 2 { Set::Mixed } else { Set::Small },
            "--layout" => {
                parsed.settings.layout = match value.as_str() {
                    "nested" => Layout::Nested,
                    "flat" => Layout::Flat,
                    "single" => Layout::Single,
                    _ => return Err(format!("--layout {value}: nested, flat or single")),
                }
            }
            _ => return Err(format!("unknown option {argument}")),
        }
    }
    if parsed.root.as_os_str().is_empty() { Err("DIR is missing".to_owned()) } else { Ok(parsed) }
}

fn main() {
    let arguments = parse(std::env::args().skip(1)).unwrap_or_else(|why| {
        eprintln!("{why}\n{USAGE}");
        std::process::exit(2);
    });
    let began = Instant::now();
    let series = plan::series(arguments.seed, arguments.set, arguments.files);
    match write::all(&arguments.root, &series, arguments.settings, arguments.threads) {
        Ok(written) => {
            let (files, seconds) = (written.files, began.elapsed().as_secs_f64());
            println!(
                "{{\"files\": {files}, \"series\": {}, \"header_bytes_mean\": {}, \"header_bytes_min\": {}, \
                 \"header_bytes_max\": {}, \"elements_mean\": {}, \"large\": {}, \"seconds\": {seconds:.2}}}",
                series.len(),
                written.header_bytes / files.max(1),
                written.header_bytes_min,
                written.header_bytes_max,
                written.elements / files.max(1),
                written.large,
            );
        }
        Err(error) => {
            eprintln!("{}: {error}", arguments.root.display());
            std::process::exit(1);
        }
    }
}
