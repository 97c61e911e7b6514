//! Threads that take series from one list and write their files.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use crate::encode::{Syntax, element, file_meta};
use crate::headers::{Context, ENCAPSULATED, Template, template};
use crate::layout::Layout;
use crate::plan::{self, Series};
use crate::slices::slice;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) layout: Layout,
    /// Bytes of pixel data behind each header.
    pub(crate) pixel_bytes: usize,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Written {
    pub(crate) files: u64,
    /// Up to the pixel data.
    pub(crate) header_bytes: u64,
    pub(crate) header_bytes_min: u64,
    pub(crate) header_bytes_max: u64,
    pub(crate) elements: u64,
    /// Files with headers of 80,000 bytes and more.
    pub(crate) large: u64,
}

const LARGE_BYTES: u64 = 80_000;
/// Elements of the file meta group, and PixelData.
const META_AND_PIXELS: u64 = 9;

impl Written {
    fn add(self, other: Self) -> Self {
        let min = [self, other].iter().filter(|part| part.files > 0).map(|part| part.header_bytes_min).min();
        Self {
            files: self.files + other.files,
            header_bytes: self.header_bytes + other.header_bytes,
            header_bytes_min: min.unwrap_or(0),
            header_bytes_max: self.header_bytes_max.max(other.header_bytes_max),
            elements: self.elements + other.elements,
            large: self.large + other.large,
        }
    }
}

pub(crate) fn all(root: &Path, series: &[Series], settings: Settings, threads: usize) -> io::Result<Written> {
    fs::create_dir(root)?;
    let next = AtomicUsize::new(0);
    let work = || {
        let mut written = Written::default();
        while let Some(series) = series.get(next.fetch_add(1, Ordering::Relaxed)) {
            written = written.add(write_series(root, series, settings)?);
        }
        io::Result::Ok(written)
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_fold(Written::default(), |sum, worker| {
            let part = worker.join().map_err(|_| io::Error::other("a thread panicked"))??;
            Ok(sum.add(part))
        })
    })
}

fn write_series(root: &Path, series: &Series, settings: Settings) -> io::Result<Written> {
    let mut context = Context::new(series);
    let template = template(&mut context);
    let folder = settings.layout.folder(root, series);
    fs::create_dir_all(&folder)?;
    let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(plan::seconds(series.day));
    let mut written = Written::default();
    let mut bytes = Vec::new();
    for number in 1..=series.files {
        bytes.clear();
        let instance = context.instance(number);
        let elements = header(&context, &template, number, &instance, &mut bytes);
        let header_bytes = bytes.len() as u64;
        pixels(&template, settings.pixel_bytes, &mut bytes);
        let path = settings.layout.file(&folder, number, &instance);
        if settings.layout == Layout::Single {
            path.parent().map_or(Ok(()), fs::create_dir)?;
        }
        let mut file = File::create_new(path)?;
        file.write_all(&bytes)?;
        file.set_modified(modified + Duration::from_millis(number * 40))?;
        written = written.add(Written {
            files: 1,
            header_bytes,
            header_bytes_min: header_bytes,
            header_bytes_max: header_bytes,
            elements,
            large: u64::from(header_bytes >= LARGE_BYTES),
        });
    }
    Ok(written)
}

/// Appends everything up to the pixel data; gives the number of elements.
fn header(context: &Context, template: &Template, number: u64, instance: &str, bytes: &mut Vec<u8>) -> u64 {
    let own = slice(context, number, instance, &template.shared);
    file_meta(bytes, template.class, instance, template.transfer_syntax);
    template.shared.merge_into(&own, bytes);
    (template.shared.len() + own.len()) as u64 + META_AND_PIXELS
}

/// PixelData: native, or an empty offset table and one fragment (PS3.5 A.4).
fn pixels(template: &Template, count: usize, bytes: &mut Vec<u8>) {
    let count = count.next_multiple_of(2);
    if template.transfer_syntax == ENCAPSULATED {
        bytes.extend_from_slice(
            b"\xE0\x7F\x10\x00OB\0\0\xFF\xFF\xFF\xFF\xFE\xFF\x00\xE0\0\0\0\0\xFE\xFF\x00\xE0",
        );
        bytes.extend_from_slice(&u32::try_from(count).unwrap_or(0).to_le_bytes());
        bytes.resize(bytes.len() + count, 0x5A);
        bytes.extend_from_slice(b"\xFE\xFF\xDD\xE0\0\0\0\0");
    } else {
        let syntax: Syntax = template.shared.syntax();
        element(bytes, syntax, 0x7FE0_0010, b"OW", &vec![0x5A; count]);
    }
}
