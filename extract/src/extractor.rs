//! One file from its bytes to what is stored of it.

use std::borrow::Cow;
use std::sync::Arc;

use shardex_catalog::{
    AttributeId, ContentDigest, DigestMode, Domain, FileKind, FileState, Header, Reason, Values,
    WarningClass, Warnings, attribute_by_keyword,
};

use crate::charset::DefaultCharset;
use crate::headers::{self, Decoding, Memo};
use crate::open::{self, Meta, Opened};
use crate::raw::RawValues;
use crate::source::{FIRST_BYTES, ReadAt, Window};
use crate::walk::{Stop, Walker};
use crate::wanted::{Slot, wanted};
use crate::{content, deflated, kind, readable, scan};

const MEDIA_STORAGE_DIRECTORY: &[u8] = b"1.2.840.10008.1.3.10";
/// SOP classes of objects that belong to no study, and beginnings of families of them (PS3.4 GG).
const NON_PATIENT: &[&str] = &["1.2.840.10008.5.1.4.38.1", "1.2.840.10008.5.1.4.39.1"];
const NON_PATIENT_FAMILIES: &[&str] = &[
    "1.2.840.10008.5.1.4.1.1.200.",
    "1.2.840.10008.5.1.4.1.1.201.",
    "1.2.840.10008.5.1.4.43.",
    "1.2.840.10008.5.1.4.44.",
    "1.2.840.10008.5.1.4.45.",
];

/// How files are read.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Which digest is taken.
    pub digest: DigestMode,
    /// Character set of text that declares none.
    pub default_charset: Option<DefaultCharset>,
}

/// What a file is.
#[derive(Clone, Debug)]
pub enum Extracted {
    /// An instance to be indexed.
    Instance(Instance),
    /// Anything else.
    Other(Other),
}

/// An instance.
#[derive(Clone, Debug)]
pub struct Instance {
    /// Digest, where one is taken.
    pub digest: Option<ContentDigest>,
    /// What deserves a look.
    pub warnings: Warnings,
    /// SOPInstanceUID, not empty.
    pub sop_instance_uid: Box<str>,
    /// Stack header, with series and study headers above it.
    pub stack: Arc<Header>,
    /// Values of the file's own level, without SOPInstanceUID.
    pub values: Values,
}

/// A file that is not indexed.
#[derive(Clone, Debug)]
pub struct Other {
    /// Its state.
    pub state: FileState,
    /// What it is.
    pub kind: FileKind,
    /// Why it is quarantined or skipped.
    pub reason: Option<Reason>,
    /// Where reading broke.
    pub offset: Option<u64>,
    /// Of a quarantined file, what could be read: a JSON object of keywords and texts.
    pub readable: Option<String>,
    /// Digest, where one is taken.
    pub digest: Option<ContentDigest>,
}

impl Other {
    fn new(state: FileState, kind: FileKind, reason: Option<Reason>) -> Self {
        Self { state, kind, reason, offset: None, readable: None, digest: None }
    }
}

/// Reads files, one after the other. Keeps its buffers, and the headers of the last files.
pub struct Extractor {
    settings: Settings,
    buffer: Vec<u8>,
    raw: RawValues,
    /// What was read of the last file that headers were made of.
    raw_before: RawValues,
    /// Headers were made of `raw`.
    has_headers: bool,
    memo: Memo,
    meta: Meta,
    places: Places,
}

/// Where the values stand that decide what a file is.
struct Places {
    sop_instance_uid: [Slot; 2],
    sop_class_uid: Slot,
    transfer_syntax_uid: Slot,
    study_instance_uid: AttributeId,
    series_instance_uid: AttributeId,
}

impl Places {
    fn new() -> Self {
        let id = |keyword: &str| attribute_by_keyword(keyword).expect("an attribute of the table");
        let slots = |keyword: &str| &wanted().of_attribute[id(keyword).index()];
        let uid = slots("SOPInstanceUID");
        Self {
            sop_instance_uid: [uid[0], uid[1]],
            sop_class_uid: slots("SOPClassUID")[0],
            transfer_syntax_uid: slots("TransferSyntaxUID")[0],
            study_instance_uid: id("StudyInstanceUID"),
            series_instance_uid: id("SeriesInstanceUID"),
        }
    }

    /// What keeps a file from being an instance of a series of a study.
    fn missing_uid(&self, stack: &Header, sop_instance_uid: Option<&str>) -> Option<Reason> {
        let series = stack.parent()?;
        let study = series.parent()?;
        if study.values().text(self.study_instance_uid).is_none() {
            Some(Reason::NoStudyInstanceUid)
        } else if series.values().text(self.series_instance_uid).is_none() {
            Some(Reason::NoSeriesInstanceUid)
        } else if sop_instance_uid.is_none() {
            Some(Reason::NoSopInstanceUid)
        } else {
            None
        }
    }
}

impl Extractor {
    /// An extractor; make one a thread.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            buffer: Vec::with_capacity(FIRST_BYTES),
            raw: RawValues::default(),
            raw_before: RawValues::new(),
            has_headers: false,
            memo: Memo::new(),
            meta: Meta::default(),
            places: Places::new(),
        }
    }

    /// Reads a file of `size` bytes. Never panics, and needs no more memory than its buffers,
    /// whatever the bytes are; a read that fails gives state `quarantined`.
    pub fn extract<R: ReadAt + ?Sized>(&mut self, file: &R, size: u64, domain: &Domain) -> Extracted {
        self.within(file, size, |extractor, window| match extractor.scan(window, domain) {
            Some(extracted) => Some(extracted),
            None => Some(extractor.walk(window, domain)),
        })
        .unwrap_or_else(unreadable)
    }

    /// As [`Extractor::extract`], by the fast scanner alone; `None` for a file that it leaves to the
    /// tolerant walker. For comparing the two.
    pub fn extract_by_scanner<R: ReadAt + ?Sized>(
        &mut self,
        file: &R,
        size: u64,
        domain: &Domain,
    ) -> Option<Extracted> {
        self.within(file, size, |extractor, window| extractor.scan(window, domain))
    }

    /// As [`Extractor::extract`], by the tolerant walker alone. For comparing the two.
    pub fn extract_by_walker<R: ReadAt + ?Sized>(
        &mut self,
        file: &R,
        size: u64,
        domain: &Domain,
    ) -> Extracted {
        self.within(file, size, |extractor, window| Some(extractor.walk(window, domain)))
            .unwrap_or_else(unreadable)
    }

    /// Opens a window and takes the digest; whatever is read through a failing window is no answer.
    fn within<R: ReadAt + ?Sized>(
        &mut self,
        file: &R,
        size: u64,
        read: impl FnOnce(&mut Self, &mut Window<'_, R>) -> Option<Extracted>,
    ) -> Option<Extracted> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let extracted = match Window::open(file, size, &mut buffer) {
            Ok(mut window) => {
                let digest = self.digest(file, &window, size);
                let extracted = read(self, &mut window);
                let extracted = if window.has_failed() { Some(unreadable()) } else { extracted };
                extracted.map(|extracted| with_digest(extracted, digest))
            }
            Err(_) => Some(unreadable()),
        };
        self.buffer = buffer;
        extracted
    }

    fn digest<R: ReadAt + ?Sized>(
        &self,
        file: &R,
        window: &Window<'_, R>,
        size: u64,
    ) -> Option<ContentDigest> {
        match self.settings.digest {
            DigestMode::None => None,
            DigestMode::Header => Some(content::header_digest(window.first(), size)),
            DigestMode::Full => content::full_digest(file).ok(),
        }
    }

    fn scan<R: ReadAt + ?Sized>(&mut self, window: &mut Window<'_, R>, domain: &Domain) -> Option<Extracted> {
        let opened = scan::open(window.first(), std::mem::take(&mut self.meta))?;
        self.begin();
        self.store_meta(&opened.meta);
        let is_explicit = opened.encoding.is_explicit;
        let (raw, before) = (&mut self.raw, &self.raw_before);
        scan::data_set(window, raw, before, opened.data_set_at, is_explicit, &wanted().nodes).ok()?;
        let extracted = self.conclude(&opened, Ok(()), window.size(), FileKind::Dicom, domain);
        self.meta = opened.meta;
        Some(extracted)
    }

    fn walk<R: ReadAt + ?Sized>(&mut self, window: &mut Window<'_, R>, domain: &Domain) -> Extracted {
        self.begin();
        let first = usize::try_from(window.size()).unwrap_or(usize::MAX).min(FIRST_BYTES);
        let not_dicom = window.look(0, first).map_or(FileKind::Other, kind::of);
        let Some(opened) = open::open(window, &mut self.raw) else {
            return Extracted::Other(Other::new(FileState::NotDicom, not_dicom, None));
        };
        self.store_meta(&opened.meta);
        if opened.meta.sop_class_uid == MEDIA_STORAGE_DIRECTORY {
            return dicomdir();
        }
        let walked = if opened.is_deflated {
            self.walk_deflated(window, &opened)
        } else {
            Walker { window, raw: &mut self.raw }.data_set(
                opened.data_set_at,
                opened.encoding,
                &wanted().nodes,
            )
        };
        self.conclude(&opened, walked, window.size(), not_dicom, domain)
    }

    /// Forgets what was read, but for what the next file is compared with.
    fn begin(&mut self) {
        if self.has_headers {
            std::mem::swap(&mut self.raw, &mut self.raw_before);
            self.has_headers = false;
        }
        self.raw.clear();
    }

    fn store_meta(&mut self, meta: &Meta) {
        let (media_uid, transfer_syntax) = (self.places.sop_instance_uid[1], self.places.transfer_syntax_uid);
        for (slot, bytes) in
            [(media_uid, &meta.sop_instance_uid), (transfer_syntax, &meta.transfer_syntax_uid)]
        {
            if !bytes.is_empty() {
                let value = self.raw.store(shardex_catalog::Vr::UI, 0, false, bytes);
                self.raw.set(slot, value);
            }
        }
        self.raw.end_meta();
    }

    fn walk_deflated<R: ReadAt + ?Sized>(
        &mut self,
        window: &mut Window<'_, R>,
        opened: &Opened,
    ) -> Result<(), Stop> {
        let (inflated, is_whole) = deflated::inflate(window, opened.data_set_at);
        let mut buffer = Vec::new();
        let Ok(mut plain) = Window::open(&*inflated, inflated.len() as u64, &mut buffer) else {
            return Err(Stop::Broken(opened.data_set_at));
        };
        let walked =
            Walker { window: &mut plain, raw: &mut self.raw }.data_set(0, opened.encoding, &wanted().nodes);
        if is_whole { walked } else { Err(Stop::Truncated(opened.data_set_at)) }
    }

    fn conclude(
        &mut self,
        opened: &Opened,
        walked: Result<(), Stop>,
        size: u64,
        not_dicom: FileKind,
        domain: &Domain,
    ) -> Extracted {
        let has_values = self.raw.has_data_set_values();
        if !opened.has_prefix && !has_values {
            return Extracted::Other(Other::new(FileState::NotDicom, not_dicom, None));
        }
        if self.raw.get(wanted().directory_records).is_some() {
            return dicomdir();
        }
        let offset = match walked {
            Ok(()) => None,
            Err(Stop::Truncated(at)) => {
                self.raw.warnings.insert(WarningClass::Truncated);
                Some(at)
            }
            Err(Stop::Broken(at)) => {
                self.raw.warnings.insert(WarningClass::Broken);
                Some(at)
            }
        };
        let mut warnings = self.raw.warnings;
        let sop_class_uid = sop_class_uid(&self.raw, self.places.sop_class_uid, &opened.meta);
        let decoding = Decoding {
            raw: &self.raw,
            default_charset: self.settings.default_charset.as_ref(),
            sop_class_uid: &sop_class_uid,
        };
        let stack = self.memo.headers(&decoding, &self.raw_before, domain, &mut warnings);
        self.has_headers = true;
        let uid = sop_instance_uid(&decoding, self.places.sop_instance_uid, &mut warnings);
        let missing = self.places.missing_uid(&stack, uid.as_deref());
        let (Some(sop_instance_uid), None) = (uid, missing) else {
            if missing != Some(Reason::NoSopInstanceUid) && is_non_patient(&sop_class_uid) {
                return Extracted::Other(Other::new(FileState::NonPatient, FileKind::Dicom, None));
            }
            let is_empty = !has_values && opened.meta.elements == 0;
            let reason = match missing {
                _ if is_empty && opened.data_set_at >= size => Reason::NoElements,
                _ if offset.is_some() || is_empty => Reason::BrokenHeader,
                reason => reason.unwrap_or(Reason::NoSopInstanceUid),
            };
            let mut other = Other::new(FileState::Quarantined, FileKind::Dicom, Some(reason));
            other.offset = offset;
            other.readable = readable::json(&stack);
            return Extracted::Other(other);
        };
        let values = self.memo.file_values(&decoding, &mut warnings);
        Extracted::Instance(Instance { digest: None, warnings, sop_instance_uid, stack, values })
    }
}

fn sop_class_uid<'a>(raw: &'a RawValues, slot: Slot, meta: &'a Meta) -> Cow<'a, str> {
    let own = raw.get(slot).map(|value| open::trimmed(raw.bytes(value)));
    String::from_utf8_lossy(own.filter(|uid| !uid.is_empty()).unwrap_or(&meta.sop_class_uid))
}

fn unreadable() -> Extracted {
    Extracted::Other(Other::new(FileState::Quarantined, FileKind::Other, Some(Reason::ReadError)))
}

fn dicomdir() -> Extracted {
    Extracted::Other(Other::new(FileState::Skipped, FileKind::Dicomdir, Some(Reason::Dicomdir)))
}

fn with_digest(extracted: Extracted, digest: Option<ContentDigest>) -> Extracted {
    match extracted {
        Extracted::Instance(instance) => Extracted::Instance(Instance { digest, ..instance }),
        Extracted::Other(other) => Extracted::Other(Other { digest, ..other }),
    }
}

fn sop_instance_uid(decoding: &Decoding<'_>, slots: [Slot; 2], warnings: &mut Warnings) -> Option<Box<str>> {
    for (slot, is_meta) in slots.into_iter().zip([false, true]) {
        let text = decoding.raw.get(slot).map(|value| headers::text(decoding, value, warnings));
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            if is_meta {
                warnings.insert(WarningClass::SopInstanceUidFromMeta);
            }
            return Some(text.into());
        }
    }
    None
}

fn is_non_patient(sop_class_uid: &str) -> bool {
    NON_PATIENT.contains(&sop_class_uid)
        || NON_PATIENT_FAMILIES.iter().any(|family| sop_class_uid.starts_with(family))
}
