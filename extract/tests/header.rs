//! The listing of a whole header.

mod support;

use std::ops::ControlFlow;

use shardex_extract::{HeaderElement, HeaderEnd, HeaderError, HeaderLimits, HeaderValue, header_elements};
use support::{Lengths, Random, Vrs, Writer, part10, part10_as, pet, real_files, say};

fn list(bytes: &[u8], limits: &HeaderLimits) -> (Vec<HeaderElement>, HeaderEnd) {
    let mut elements = Vec::new();
    let end = header_elements(bytes, bytes.len() as u64, limits, &mut |element| {
        elements.push(element);
        ControlFlow::Continue(())
    });
    (elements, end.expect("a DICOM file"))
}

fn line(element: &HeaderElement) -> String {
    let value = match &element.value {
        HeaderValue::Text { text, is_cut } => format!("{text}{}", if *is_cut { " ..." } else { "" }),
        HeaderValue::Bytes { hex, is_cut } => format!("<{hex}{}>", if *is_cut { " ..." } else { "" }),
        HeaderValue::Items => "items".to_owned(),
        HeaderValue::Unread => "unread".to_owned(),
    };
    let length = element.length.map_or("-".to_owned(), |length| length.to_string());
    format!("{} {} {length} {} = {value}", element.path, element.vr, element.keyword.unwrap_or("?"))
}

fn lines(bytes: &[u8]) -> Vec<String> {
    let (elements, end) = list(bytes, &HeaderLimits::default());
    assert_eq!(end, HeaderEnd::Whole);
    elements.iter().map(line).collect()
}

#[test]
fn every_element_is_listed() {
    let lines = lines(&part10(&pet(Vrs::Explicit, Lengths::Undefined, 20)));
    for expected in [
        "(0002,0010) UI 20 TransferSyntaxUID = 1.2.840.10008.1.2.1",
        "(0008,1140) SQ - ReferencedImageSequence = items",
        "(0008,1140)[0].(0008,1155) UI 8 ReferencedSOPInstanceUID = 2.25.77",
        "(0009,1001) OB 20 ? = <07070707070707070707070707070707 ...>",
        "(0010,0010) PN 12 PatientName = Müller^Anna",
        "(0028,0010) US 2 Rows = 256",
        "(0054,0016)[0].(0054,0300)[0].(0008,0104) LO 4 CodeMeaning = 18F",
        "(0054,0016)[1].(0018,0031) LO 4 Radiopharmaceutical = FDG",
        "(7FE0,0010) OW 64 PixelData = unread",
    ] {
        assert!(lines.iter().any(|line| line == expected), "{expected}\n{lines:#?}");
    }
    assert_eq!(lines.len(), 41);
}

#[test]
fn the_encoding_changes_nothing_but_lengths_that_are_not_given() {
    let of = |vrs, lengths| {
        let (elements, end) = list(&part10(&pet(vrs, lengths, 20)), &HeaderLimits::default());
        assert_eq!(end, HeaderEnd::Whole);
        let data_set = elements.into_iter().filter(|element| element.tag > 0x0003_0000);
        data_set.map(|element| (element.path, element.keyword, element.value)).collect::<Vec<_>>()
    };
    let explicit = of(Vrs::Explicit, Lengths::Defined);
    assert_eq!(explicit, of(Vrs::Explicit, Lengths::Undefined));
    for lengths in [Lengths::Defined, Lengths::Undefined] {
        let implicit = of(Vrs::Implicit, lengths);
        // Without a VR, a private element is bytes of an unknown kind too.
        assert_eq!(explicit, implicit);
    }
}

#[test]
fn what_is_listed_is_bounded() {
    let file = part10(&pet(Vrs::Explicit, Lengths::Undefined, 20));
    for (limits, left_out) in [
        (HeaderLimits { depth_max: 1, ..HeaderLimits::default() }, "(0054,0300)[0]"),
        (HeaderLimits { items_max: 1, ..HeaderLimits::default() }, "(0054,0016)[1]"),
        (HeaderLimits { elements_max: 10, ..HeaderLimits::default() }, "(0010,0010)"),
    ] {
        let (elements, end) = list(&file, &limits);
        assert_eq!(end, HeaderEnd::Limited, "{limits:?}");
        assert!(!elements.is_empty() && elements.iter().all(|element| !element.path.contains(left_out)));
    }
    let short = HeaderLimits { value_chars_max: 4, ..HeaderLimits::default() };
    let (elements, _) = list(&file, &short);
    let name = elements.iter().find(|element| element.tag == 0x0010_0010).expect("a name");
    assert_eq!(name.value, HeaderValue::Text { text: "Müll".to_owned(), is_cut: true });
}

#[test]
fn whoever_asks_may_stop() {
    let file = part10(&pet(Vrs::Explicit, Lengths::Defined, 20));
    let mut told = 0;
    let end = header_elements(&*file, file.len() as u64, &HeaderLimits::default(), &mut |_| {
        told += 1;
        if told == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!((end.expect("a DICOM file"), told), (HeaderEnd::Stopped, 3));
}

#[test]
fn what_breaks_ends_the_listing_and_says_where() {
    let whole = pet(Vrs::Explicit, Lengths::Defined, 20);
    let file = part10(&whole);
    let (elements, end) = list(&file[..file.len() - 100], &HeaderLimits::default());
    assert!(matches!(end, HeaderEnd::Truncated(_)), "{end:?}");
    assert!(elements.iter().any(|element| element.tag == 0x0020_0013));
    let mut broken = whole.clone();
    broken.bytes.truncate(broken.bytes.len() - 76);
    broken.bytes.extend_from_slice(&[0x55; 64]);
    let (_, end) = list(&part10(&broken), &HeaderLimits::default());
    let at = part10(&broken).len() as u64 - 64;
    assert!(matches!(end, HeaderEnd::Broken(place) | HeaderEnd::Truncated(place) if place == at), "{end:?}");
}

#[test]
fn what_is_no_dicom_is_refused() {
    let error =
        header_elements(&b"hello"[..], 5, &HeaderLimits::default(), &mut |_| ControlFlow::Continue(()));
    assert!(matches!(error, Err(HeaderError::NotDicom)), "{error:?}");
}

#[test]
fn values_of_unknown_vr_are_read_by_the_dictionary() {
    let mut data_set = Writer::new(Vrs::Explicit, Lengths::Defined);
    data_set
        .text(0x0008_0005, "CS", "ISO_IR 192")
        .bytes(0x0010_0010, "UN", "Ö^Ä".as_bytes())
        .bytes(0x0011_1001, "UN", b"text")
        .bytes(0x0011_1002, "UN", &[1, 2])
        .bytes(0x0028_0009, "AT", &[0x18, 0, 0x63, 0x10]);
    let lines = lines(&part10(&data_set));
    for expected in [
        "(0010,0010) UN 6 PatientName = Ö^Ä",
        "(0011,1001) UN 4 ? = text",
        "(0011,1002) UN 2 ? = <0102>",
        "(0028,0009) AT 4 FrameIncrementPointer = (0018,1063)",
    ] {
        assert!(lines.iter().any(|line| line == expected), "{expected}\n{lines:#?}");
    }
}

#[test]
fn hostile_bytes_end_somewhere() {
    let files = [
        part10(&pet(Vrs::Explicit, Lengths::Undefined, 20)),
        part10(&pet(Vrs::Implicit, Lengths::Undefined, 20)),
        part10_as("1.2.840.10008.1.2.1.99", &pet(Vrs::Explicit, Lengths::Defined, 20)),
    ];
    let limits = HeaderLimits { elements_max: 1000, ..HeaderLimits::default() };
    let mut random = Random(0x5EED_0003);
    for _ in 0..5000 {
        let mut bytes = random.pick(&files).clone();
        for _ in 0..1 + random.below(4) {
            let at = 132 + random.below(bytes.len() - 132);
            bytes[at] = *random.pick(&[0, 0xFF, 0xFE, b'S', b'Q', b'U', b'N', 8]);
        }
        let mut told = 0;
        let _ = header_elements(&*bytes, bytes.len() as u64, &limits, &mut |_| {
            told += 1;
            ControlFlow::Continue(())
        });
        assert!(told <= 1000);
    }
}

#[test]
fn real_files_are_listed_to_their_pixel_data() {
    let Some(folder) = real_files() else {
        say("SKIPPED: 1 test, the real files are not here");
        return;
    };
    let (mut files, mut whole, mut folders) = (0, 0, vec![folder]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).expect("a readable file");
            let mut last = None;
            let end =
                header_elements(&*bytes, bytes.len() as u64, &HeaderLimits::default(), &mut |element| {
                    last = Some(element.tag);
                    ControlFlow::Continue(())
                });
            let Ok(end) = end else { continue };
            files += 1;
            whole += usize::from(matches!(end, HeaderEnd::Whole | HeaderEnd::Limited) && last.is_some());
        }
    }
    say(&format!("{files} files, {whole} listed to their end"));
    assert!(whole * 100 >= files * 97, "only {whole} of {files} files were listed to their end");
}
