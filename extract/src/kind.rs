//! What a file that is no DICOM is, by its first bytes.

use shardex_catalog::FileKind;

/// Magic numbers: offset, bytes, kind.
#[rustfmt::skip]
const MAGIC: &[(usize, &[u8], FileKind)] = &[
    (0, b"PK\x03\x04", FileKind::Zip), (0, b"PK\x05\x06", FileKind::Zip),
    (0, b"\x1F\x8B", FileKind::Gzip), (0, b"BZh", FileKind::Bzip2), (0, b"\xFD7zXZ\0", FileKind::Xz),
    (0, b"\x28\xB5\x2F\xFD", FileKind::Zstd), (257, b"ustar", FileKind::Tar),
    (0, b"7z\xBC\xAF\x27\x1C", FileKind::SevenZip), (0, b"Rar!\x1A\x07", FileKind::Rar),
    (0, b"%PDF-", FileKind::Pdf), (344, b"n+1\0", FileKind::Nifti), (344, b"ni1\0", FileKind::Nifti),
    (4, b"n+2\0", FileKind::Nifti), (0, b"NRRD", FileKind::Nrrd), (0, b"\x89HDF\r\n\x1A\n", FileKind::Hdf5),
    (0, b"\x89PNG\r\n\x1A\n", FileKind::Png), (0, b"\xFF\xD8\xFF", FileKind::Jpeg), (0, b"GIF8", FileKind::Gif),
    (0, b"BM", FileKind::Bmp), (0, b"II*\0", FileKind::Tiff), (0, b"MM\0*", FileKind::Tiff),
    (0, b"SQLite format 3\0", FileKind::Sqlite), (0, b"\x7FELF", FileKind::Executable), (0, b"MZ", FileKind::Executable),
];

/// The kind of a file with these first bytes.
pub(crate) fn of(first: &[u8]) -> FileKind {
    if first.is_empty() {
        return FileKind::Empty;
    }
    let fits = |(at, magic, _): &&(usize, &[u8], FileKind)| {
        first.get(*at..).is_some_and(|rest| rest.starts_with(magic))
    };
    match MAGIC.iter().find(fits) {
        Some((_, _, kind)) => *kind,
        None => of_text(first),
    }
}

fn of_text(first: &[u8]) -> FileKind {
    let first = first.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(first);
    let is_control = |byte: &u8| *byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0C | 0x1B);
    // The last bytes may be the first half of a character.
    let is_utf8 = match std::str::from_utf8(first) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    };
    if first.iter().any(is_control) || !is_utf8 {
        return FileKind::Other;
    }
    match first.trim_ascii_start() {
        [b'<', ..] => FileKind::Xml,
        [b'{' | b'[', ..] => FileKind::Json,
        _ => FileKind::Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        for (first, kind) in [
            (&b""[..], FileKind::Empty),
            (b"PK\x03\x04rest", FileKind::Zip),
            (b"{\"a\": 1}", FileKind::Json),
            (b"<?xml", FileKind::Xml),
            (b"hello\n", FileKind::Text),
            (b"\0\x01\x02", FileKind::Other),
            ("grüß".as_bytes(), FileKind::Text),
        ] {
            assert_eq!(of(first), kind, "{first:?}");
        }
    }
}
