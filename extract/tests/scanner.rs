//! The fast scanner against the tolerant walker: where it answers, it answers the same.

mod support;

use shardex_catalog::Domain;
use shardex_extract::{Extracted, Extractor, Settings};
use support::{Lengths, Random, Vrs, Writer, part10, part10_as, pet, real_files, same, say};

/// Bytes of a real file that mutations are made of: headers, with room.
const MUTATED_MAX: usize = 48 << 10;
/// VRs that mutations write, some of which are none.
const VRS: &[&[u8; 2]] = &[b"SQ", b"UN", b"OB", b"US", b"XX", b"UT", b"LO", b"ZZ"];
/// Lengths that mutations write.
const LENGTHS: &[u32] = &[0, 1, 2, 3, 8, 0xFF, 0x1_0000, 0x7FFF_FFFF, 0xFFFF_FFFE, 0xFFFF_FFFF];
const MUTATIONS_OF_SYNTHETIC: usize = 60_000;
const MUTATIONS_OF_A_REAL_FILE: usize = 20;
const MUTATIONS_IN_A_ROW: usize = 12;
const SLICES: usize = 4000;

/// Both readers, each with its own memory of the files before.
struct Readers {
    scanner: Extractor,
    walker: Extractor,
    files: usize,
    answered: usize,
}

impl Readers {
    fn new() -> Self {
        let extractor = || Extractor::new(Settings::default());
        Self { scanner: extractor(), walker: extractor(), files: 0, answered: 0 }
    }

    /// Compares the readers on a file; whether the scanner answered.
    fn compare(&mut self, bytes: &[u8], what: &str) -> bool {
        let (size, domain) = (bytes.len() as u64, Domain::default());
        self.files += 1;
        let Some(scanned) = self.scanner.extract_by_scanner(bytes, size, &domain) else { return false };
        let walked = self.walker.extract_by_walker(bytes, size, &domain);
        assert!(same(&scanned, &walked), "{what}\nscanner: {scanned:#?}\nwalker: {walked:#?}");
        self.answered += 1;
        true
    }
}

fn tidy_files() -> Vec<Vec<u8>> {
    let mut files = Vec::new();
    for vrs in [Vrs::Explicit, Vrs::Implicit] {
        for lengths in [Lengths::Defined, Lengths::Undefined] {
            for private in [0, 2000, 7700, 30_000, 200_000] {
                files.push(part10(&pet(vrs, lengths, private)));
            }
        }
    }
    files.push(part10_as("1.2.840.10008.1.2.4.90", &pet(Vrs::Explicit, Lengths::Defined, 10)));
    files
}

#[test]
fn tidy_files_are_read_by_the_scanner() {
    let mut readers = Readers::new();
    for (n, file) in tidy_files().iter().enumerate() {
        assert!(readers.compare(file, &format!("file {n}")), "file {n} is left to the walker");
    }
}

#[test]
fn elements_may_lie_across_the_end_of_the_first_piece() {
    let mut readers = Readers::new();
    for vrs in [Vrs::Explicit, Vrs::Implicit] {
        for lengths in [Lengths::Defined, Lengths::Undefined] {
            for private in (7000..8200).step_by(2) {
                let file = part10(&pet(vrs, lengths, private));
                assert!(readers.compare(&file, &format!("{private} private bytes")), "{private}");
            }
        }
    }
}

#[test]
fn a_file_may_end_anywhere() {
    let mut readers = Readers::new();
    for lengths in [Lengths::Defined, Lengths::Undefined] {
        let file = part10(&pet(Vrs::Explicit, lengths, 0));
        for end in 0..file.len() {
            readers.compare(&file[..end], &format!("cut at {end}"));
        }
    }
}

/// What is alike in the file before is not parsed again: values that are longer, shorter, more or fewer must not go
/// unnoticed.
#[test]
fn slices_of_a_series_are_read_alike() {
    let mut readers = Readers::new();
    let mut random = Random(0x5EED_0003);
    for (vrs, lengths) in [
        (Vrs::Explicit, Lengths::Defined),
        (Vrs::Explicit, Lengths::Undefined),
        (Vrs::Implicit, Lengths::Defined),
    ] {
        for n in 0..SLICES {
            let slice = slice(&mut random, vrs, lengths);
            assert!(
                readers.compare(&part10(&slice), &format!("slice {n}")),
                "slice {n} is left to the walker"
            );
        }
    }
}

/// A data set of elements that are there or not, wanted or not, with values of this length or that.
fn slice(random: &mut Random, vrs: Vrs, lengths: Lengths) -> Writer {
    const ELEMENTS: &[(u32, &str)] = &[
        (0x0008_0005, "CS"),
        (0x0008_0012, "DA"),
        (0x0008_0016, "UI"),
        (0x0008_0018, "UI"),
        (0x0008_0020, "DA"),
        (0x0008_0060, "CS"),
        (0x0008_0070, "LO"),
        (0x0008_1030, "LO"),
        (0x0008_1140, "SQ"),
        (0x0009_1001, "LO"),
        (0x0010_0010, "PN"),
        (0x0010_0020, "LO"),
        (0x0018_0050, "DS"),
        (0x0019_1001, "LO"),
        (0x0020_000D, "UI"),
        (0x0020_000E, "UI"),
        (0x0020_0013, "IS"),
        (0x0020_0032, "DS"),
        (0x0021_1001, "LO"),
        (0x0054_0016, "SQ"),
        (0x7777_1001, "LO"),
    ];
    let mut to = Writer::new(vrs, lengths);
    for (tag, vr) in ELEMENTS {
        if *vr != "UI" && random.below(8) == 0 {
            continue;
        }
        // Mostly one value, sometimes another.
        let choice = if random.below(5) == 0 { random.below(4) } else { 0 };
        if *vr == "SQ" {
            let mut item = to.item();
            item.text(0x0008_1150, "UI", ["2.25.1", "2.25.2", "2.25.3333", ""][choice]).text(
                0x0018_0031,
                "LO",
                ["FDG", "FDG", "Choline", ""][choice],
            );
            to.sequence(*tag, &vec![item; 1 + choice % 2]);
        } else {
            let text = match *vr {
                "UI" => ["2.25.1", "2.25.2", "2.25.3333", "2.25.4"][choice],
                "CS" if *tag == 0x0008_0005 => ["ISO_IR 100", "ISO_IR 192", "ISO_IR 144", ""][choice],
                "PN" => ["M\u{fc}ller", "Muster", "Muster^Anna", ""][choice],
                "DA" => ["20190304", "20190305", "today", ""][choice],
                _ => ["1", "2", "3333", ""][choice],
            };
            to.text(*tag, vr, text);
        }
    }
    to.bytes(0x7FE0_0010, "OW", &[1; 64]);
    to
}

#[test]
fn what_is_not_tidy_is_left_to_the_walker() {
    let mut readers = Readers::new();
    let whole = part10(&pet(Vrs::Explicit, Lengths::Defined, 10));
    let without_preamble = whole[132..].to_vec();
    let deflated = part10_as("1.2.840.10008.1.2.1.99", &pet(Vrs::Explicit, Lengths::Defined, 10));
    let big = part10_as("1.2.840.10008.1.2.2", &pet(Vrs::Explicit, Lengths::Defined, 10));
    let mistaken = part10_as("1.2.840.10008.1.2.1", &pet(Vrs::Implicit, Lengths::Defined, 10));
    let mut twice = pet(Vrs::Explicit, Lengths::Defined, 10);
    let again = Writer::new(Vrs::Explicit, Lengths::Defined).text(0x0010_0020, "LO", "PAT2").bytes.clone();
    twice.bytes.splice(twice.bytes.len() - 76.., again);
    for (what, file) in [
        ("no preamble", without_preamble),
        ("deflated", deflated),
        ("big endian", big),
        ("another encoding", mistaken),
        ("out of order", part10(&twice)),
        ("cut", whole[..whole.len() - 100].to_vec()),
        ("empty", Vec::new()),
    ] {
        assert!(!readers.compare(&file, what), "the scanner claims to understand: {what}");
    }
}

#[test]
fn mutations_of_tidy_files_are_read_alike() {
    let files: Vec<_> = tidy_files().into_iter().filter(|file| file.len() < 16 << 10).collect();
    let mut readers = Readers::new();
    let mut random = Random(0x5EED_0001);
    let mut base = Vec::new();
    for n in 0..MUTATIONS_OF_SYNTHETIC {
        // Files that follow each other differ in a little, as slices of a series do.
        if n % MUTATIONS_IN_A_ROW == 0 {
            base.clone_from(random.pick(&files));
        }
        let mutated = mutated(&mut random, &base, &files);
        readers.compare(&mutated, &format!("mutation {n}"));
    }
    let Readers { files, answered, .. } = readers;
    assert!(answered * 10 > files, "of {files} mutations the scanner read only {answered}");
}

#[test]
fn real_files_are_read_alike() {
    let Some(folder) = real_files() else {
        say("SKIPPED: 1 test, the real files are not here");
        return;
    };
    let mut paths = Vec::new();
    collect(&folder, &mut paths);
    paths.sort();
    let mut readers = Readers::new();
    let mut tolerant = Extractor::new(Settings::default());
    let (mut instances, mut heads) = (0, Vec::new());
    for path in &paths {
        let bytes = std::fs::read(path).expect("a readable file");
        let extracted = tolerant.extract_by_walker(&*bytes, bytes.len() as u64, &Domain::default());
        instances += usize::from(matches!(extracted, Extracted::Instance(_)));
        readers.compare(&bytes, &path.display().to_string());
        heads.push(bytes[..bytes.len().min(MUTATED_MAX)].to_vec());
    }
    say(&format!("{} files, {instances} instances, {} read by the scanner", readers.files, readers.answered));
    assert!(readers.answered * 10 > instances * 7, "the scanner leaves most real files to the walker");
    let mut random = Random(0x5EED_0002);
    let mut mutants = Readers::new();
    for (path, head) in paths.iter().zip(&heads) {
        for n in 0..MUTATIONS_OF_A_REAL_FILE {
            let mutated = mutated(&mut random, head, &heads);
            mutants.compare(&mutated, &format!("mutation {n} of {}", path.display()));
        }
    }
    say(&format!("{} mutations, {} read by the scanner", mutants.files, mutants.answered));
}

fn collect(directory: &std::path::Path, paths: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { collect(&path, paths) } else { paths.push(path) }
    }
}

/// Where elements seem to begin: two capital letters stand where a VR would.
fn heads_of(bytes: &[u8]) -> Vec<usize> {
    let is_head = |at: &usize| bytes[at + 4].is_ascii_uppercase() && bytes[at + 5].is_ascii_uppercase();
    let is_delimiter = |at: &usize| bytes[*at..].starts_with(&[0xFE, 0xFF]);
    (0..bytes.len().saturating_sub(12)).filter(|at| is_head(at) || is_delimiter(at)).collect()
}

/// One to three changes of a kind that breaks readers.
fn mutated(random: &mut Random, base: &[u8], others: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = base.to_vec();
    for _ in 0..1 + random.below(3) {
        if bytes.len() < 16 {
            return bytes;
        }
        let at = random.below(bytes.len() - 8);
        match random.below(7) {
            0 => bytes[at] = u8::try_from(random.below(256)).unwrap_or(0),
            1 => bytes[at] ^= 1 << random.below(8),
            2 => bytes.truncate(at),
            3 => change_length(random, &mut bytes),
            4 => splice(random, &mut bytes, others),
            5 => drop(bytes.drain(at..at + random.below(8))),
            _ => {
                let vr = random.pick(VRS);
                let heads = heads_of(&bytes);
                if !heads.is_empty() {
                    let at = *random.pick(&heads);
                    bytes[at + 4..at + 6].copy_from_slice(*vr);
                }
            }
        }
    }
    bytes
}

fn change_length(random: &mut Random, bytes: &mut [u8]) {
    let heads = heads_of(bytes);
    if heads.is_empty() {
        return;
    }
    let at = *random.pick(&heads);
    let field = at + [4, 6, 8][random.below(3)];
    let length = *random.pick(LENGTHS);
    match random.below(3) {
        0 => bytes[field..field + 4].copy_from_slice(&length.to_le_bytes()),
        1 => bytes[field..field + 2].copy_from_slice(&length.to_le_bytes()[..2]),
        // A little longer or shorter than it is.
        _ => bytes[field] = bytes[field].wrapping_add(*random.pick(&[1, 2, 4, 0xFE, 0xFF])),
    }
}

/// Puts an element, or several, of a file somewhere into another.
fn splice(random: &mut Random, bytes: &mut Vec<u8>, others: &[Vec<u8>]) {
    let donor = random.pick(others);
    let (from, to) = (heads_of(donor), heads_of(bytes));
    if from.len() < 2 || to.is_empty() {
        return;
    }
    let first = random.below(from.len() - 1);
    let last = (first + 1 + random.below(3)).min(from.len() - 1);
    let at = *random.pick(&to);
    bytes.splice(at..at, donor[from[first]..from[last]].iter().copied());
}
