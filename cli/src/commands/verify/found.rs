//! Findings, counted in full and listed up to a bound, and how they are told.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::sync::{Mutex, PoisonError};

use serde_json::json;
use shardex_shard_store::check::{Finding, Kind};

use crate::output::{Table, escaped, grouped, write_json_pretty};

/// What was checked and found so far.
pub(super) struct Found {
    listed_max: usize,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    checked: Vec<(&'static str, u64)>,
    counts: BTreeMap<Kind, u64>,
    listed: BTreeMap<Kind, Vec<Finding>>,
}

impl Found {
    /// Lists at most `listed_max` findings of a kind.
    pub(super) fn new(listed_max: usize) -> Self {
        Self { listed_max, inner: Mutex::default() }
    }

    pub(super) fn add(&self, finding: Finding) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        *inner.counts.entry(finding.kind).or_default() += 1;
        let listed = inner.listed.entry(finding.kind).or_default();
        if listed.len() < self.listed_max {
            listed.push(finding);
        }
    }

    pub(super) fn checked(&self, what: &'static str, count: u64) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).checked.push((what, count));
    }

    pub(super) fn is_clean(&self) -> bool {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).counts.is_empty()
    }

    pub(super) fn write_json(&self, to: &mut impl Write) -> io::Result<()> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let checked: BTreeMap<_, _> = inner.checked.iter().copied().collect();
        let counts: BTreeMap<_, _> =
            inner.counts.iter().map(|(kind, count)| (kind.as_str(), count)).collect();
        let findings: Vec<_> = inner
            .listed
            .values()
            .flatten()
            .map(|finding| {
                json!({
                    "kind": finding.kind.as_str(),
                    "place": finding.place,
                    "path": finding.path.as_ref().map(|path| path_text(path)),
                    "detail": finding.detail,
                    "advice": finding.kind.advice(),
                })
            })
            .collect();
        let answer = json!({
            "clean": counts.is_empty(),
            "checked": checked,
            "counts": counts,
            "findings": findings,
        });
        write_json_pretty(&mut *to, &answer)?;
        writeln!(to)
    }

    pub(super) fn write_text(&self, to: &mut impl Write) -> io::Result<()> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let mut table = Table::new(&["checked", "count"]);
        inner.checked.iter().for_each(|(what, count)| table.row([(*what).to_owned(), grouped(*count)]));
        table.write(to, true)?;
        if inner.counts.is_empty() {
            return writeln!(to, "\nNothing was found.");
        }
        for (kind, count) in &inner.counts {
            writeln!(to, "\n{} {}: {}", grouped(*count), kind.as_str(), kind.advice())?;
            let listed = inner.listed.get(kind).map_or(&[][..], Vec::as_slice);
            for finding in listed {
                let path =
                    finding.path.as_ref().map_or(String::new(), |path| format!("/{}", path_text(path)));
                writeln!(
                    to,
                    "  {}{}: {}",
                    escaped(&finding.place),
                    escaped(&path),
                    escaped(&finding.detail)
                )?;
            }
            let more = count.saturating_sub(listed.len() as u64);
            if more > 0 {
                writeln!(to, "  … {} more, with a higher --limit", grouped(more))?;
            }
        }
        Ok(())
    }
}

fn path_text(path: &[u8]) -> String {
    std::ffi::OsStr::from_bytes(path).to_string_lossy().into_owned()
}
