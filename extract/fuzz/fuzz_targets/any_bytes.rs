//! Any bytes: no panic, bounded memory, and where the fast scanner answers, the tolerant walker says the
//! same. What was read before must not change an answer either.

#![no_main]

use std::cell::RefCell;
use std::io;

use libfuzzer_sys::fuzz_target;
use shardex_catalog::Domain;
use shardex_extract::{Extracted, Extractor, ReadAt, Settings};

/// Bytes that a reader may ask for, per byte of the file and in all: lengths are not believed.
const READ_FACTOR: u64 = 64;
const READ_FLOOR: u64 = 1 << 20;

thread_local! {
    static READERS: RefCell<[Extractor; 3]> = RefCell::new([reader(), reader(), reader()]);
}

fn reader() -> Extractor {
    Extractor::new(Settings::default())
}

/// Counts the bytes that are asked for.
struct Counted<'b> {
    bytes: &'b [u8],
    asked: std::cell::Cell<u64>,
}

impl ReadAt for Counted<'_> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.asked.set(self.asked.get() + buffer.len() as u64);
        self.bytes.read_at(buffer, offset)
    }
}

/// Everything that is stored of a file.
fn stored(extracted: &Extracted) -> String {
    match extracted {
        Extracted::Instance(instance) => format!(
            "{:?} {:?} {} {:?} {:?}",
            instance.digest,
            instance.warnings,
            instance.sop_instance_uid,
            instance.stack.digest(),
            instance.values
        ),
        Extracted::Other(other) => format!("{other:?}"),
    }
}

fuzz_target!(|bytes: &[u8]| {
    let (domain, size) = (Domain::default(), bytes.len() as u64);
    READERS.with_borrow_mut(|[both, scanner, walker]| {
        let counted = Counted { bytes, asked: std::cell::Cell::new(0) };
        let walked = stored(&walker.extract_by_walker(&counted, size, &domain));
        let bound = READ_FLOOR + READ_FACTOR * size;
        assert!(counted.asked.get() <= bound, "asked for {} bytes of {size}", counted.asked.get());
        assert_eq!(stored(&both.extract(bytes, size, &domain)), walked);
        if let Some(scanned) = scanner.extract_by_scanner(bytes, size, &domain) {
            assert_eq!(stored(&scanned), walked);
            assert_eq!(stored(&reader().extract(bytes, size, &domain)), walked);
        }
    });
});
