//! What of a file is as in the file before.

use super::data_set::{Place, Scanner};
use crate::outline::common;
use crate::raw::RawValues;
use crate::wanted::Node;

/// How far the stretches of the file before were found again.
pub(super) struct Again<'b> {
    before: &'b RawValues,
    /// Its stretches that are behind.
    passed: usize,
    /// Where the next one begins.
    at: usize,
}

impl<'b> Again<'b> {
    /// Begins at the data set of a file, at `at`.
    pub(super) fn new(raw: &mut RawValues, before: &'b RawValues, at: u64, is_explicit: bool) -> Self {
        raw.outline.is_explicit = is_explicit;
        raw.outline.begin = u32::try_from(at).unwrap_or(u32::MAX);
        let outline = &before.outline;
        let is_of_use = !outline.stretches.is_empty() && outline.is_explicit == is_explicit;
        if is_of_use {
            raw.begin_news(before);
        }
        let passed = if is_of_use { 0 } else { outline.stretches.len() };
        Self { before, passed, at: outline.begin as usize }
    }

    /// Takes all stretches that come next in both files, alike. `first` are the first bytes of the new one.
    pub(super) fn pass<'n>(
        &mut self,
        first: &[u8],
        scanner: &mut Scanner<'_>,
        place: &mut Place<'n>,
        nodes: &'n [Node],
    ) {
        let rest = &self.before.outline.stretches[self.passed..];
        let from = usize::try_from(place.at).unwrap_or(usize::MAX);
        let (Some(_), Some(new), Some(old)) =
            (rest.first(), first.get(from..), self.before.first().get(self.at..))
        else {
            return;
        };
        let alike_to = self.at + common(new, old);
        let alike = rest.iter().take_while(|stretch| stretch.end as usize <= alike_to).count();
        let Some(last) = alike.checked_sub(1).map(|last| &rest[last]) else { return };
        let to = self.passed + alike;
        // Both are offsets into first bytes.
        let shift = u32::try_from(from).unwrap_or(0).wrapping_sub(u32::try_from(self.at).unwrap_or(0));
        scanner.raw.take_stretches(self.before, self.passed, to, shift);
        scanner.seen += last.seen - self.before.seen_at(self.passed);
        place.at = last.end.wrapping_add(shift).into();
        place.before = last.tag;
        place.nodes = &nodes[nodes.len() - last.nodes_left as usize..];
        (self.passed, self.at) = (to, last.end as usize);
    }

    /// Notes the wanted element that was read last, and leaves its stretch in the file before behind, if there is one.
    pub(super) fn follow(&mut self, scanner: &mut Scanner<'_>, place: &Place<'_>) {
        let end = u32::try_from(place.at).unwrap_or(u32::MAX);
        scanner.raw.end_stretch(place.before, end, scanner.seen, place.nodes.len());
        let rest = &self.before.outline.stretches[self.passed..];
        let behind = rest.iter().take_while(|stretch| stretch.tag <= place.before).count();
        if let Some(last) = behind.checked_sub(1).map(|last| &rest[last]) {
            scanner.raw.miss_stretches(self.before, self.passed, self.passed + behind);
            (self.passed, self.at) = (self.passed + behind, last.end as usize);
        }
    }

    /// Notes what was read behind the stretches, and what of the file before was not found again.
    pub(super) fn end(&self, raw: &mut RawValues) {
        raw.end_news(self.before, self.passed);
    }
}
