//! What a job's options mean for a unit. Pure.

use std::time::Duration;

use shardex_catalog::{DigestMode, Domain, Placement, RelativePath, SourceName, Span};
use shardex_proto::v1;

use crate::filters::Filters;
use crate::settings::{Readers, Settings};

/// Settings of a unit.
pub(super) fn settings(options: &v1::JobOptions, placement: Placement) -> Result<Settings, String> {
    let digest = match options.digest.as_str() {
        "" | "header" => DigestMode::Header,
        "full" => DigestMode::Full,
        "none" => DigestMode::None,
        other => return Err(format!("`{other}` is no digest")),
    };
    let defaults = Settings::default();
    let readers = match options.readers {
        Some(readers) => Readers::Fixed(usize::try_from(readers).unwrap_or(1).clamp(1, 1024)),
        None => defaults.readers,
    };
    Ok(Settings {
        files_per_second: options.files_per_second,
        extract: shardex_extract::Settings { digest, ..defaults.extract },
        readers,
        filters: Filters::new(&options.include, &options.exclude).map_err(|error| error.to_string())?,
        one_file_system: options.one_file_system,
        retry_quarantined: options.retry_quarantined,
        accept_deletions: options.accept_deletions,
        patience: options
            .patience_seconds
            .map_or(defaults.patience, |seconds| Duration::from_secs(seconds.max(1).into())),
        placement,
        ..defaults
    })
}

/// A span from the wire. A peer may send anything: a path that leaves the source is none.
pub(super) fn span_in(span: &v1::Span) -> Result<Span, String> {
    let parts = || span.directory.split(|byte| *byte == b'/');
    let is_clean = span.directory.is_empty()
        || parts().all(|part| !matches!(part, b"" | b"." | b"..") && !part.contains(&0));
    if !is_clean {
        return Err("the coordinator sent a path that is none".to_owned());
    }
    let directory = RelativePath::new(&span.directory);
    if span.is_whole {
        return Ok(Span::whole(directory));
    }
    Span::range(directory, &span.from, &span.to)
        .ok_or_else(|| "the coordinator sent a range that holds no name".to_owned())
}

/// A span for the wire.
pub(super) fn span_out(span: &Span) -> v1::Span {
    let (from, to) = span.names().unwrap_or_default();
    v1::Span {
        directory: span.directory().as_bytes().to_vec().into(),
        is_whole: span.names().is_none(),
        from: from.to_vec().into(),
        to: to.to_vec().into(),
    }
}

/// Source and domain of a grant.
pub(super) fn source_in(grant: &v1::UnitGrant) -> Result<(SourceName, Domain), String> {
    let name = SourceName::new(&grant.source).map_err(|error| error.to_string())?;
    let domain = if grant.domain.is_empty() { Ok(Domain::default()) } else { Domain::new(&grant.domain) };
    Ok((name, domain.map_err(|error| error.to_string())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_survive_the_wire_and_stay_inside_the_source() {
        let directory = RelativePath::new(b"a/b");
        for span in [
            Span::whole(RelativePath::default()),
            Span::whole(directory.clone()),
            Span::range(directory, b"m", b"").expect("it holds names"),
        ] {
            assert_eq!(span_in(&span_out(&span)), Ok(span));
        }
        for path in ["..", "a/../..", "/a", "a/", "a//b", ".", "a\0"] {
            let span = v1::Span {
                directory: path.as_bytes().to_vec().into(),
                is_whole: true,
                ..v1::Span::default()
            };
            assert!(span_in(&span).is_err(), "{path:?}");
        }
    }

    #[test]
    fn options_are_understood_or_refused() {
        let options = v1::JobOptions { digest: "full".into(), readers: Some(4), ..v1::JobOptions::default() };
        let understood = settings(&options, Placement::default()).expect("sound");
        assert_eq!((understood.readers, understood.extract.digest), (Readers::Fixed(4), DigestMode::Full));
        let options = v1::JobOptions { digest: "md5".into(), ..v1::JobOptions::default() };
        assert!(settings(&options, Placement::default()).is_err());
    }
}
