//! `shardex show`.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use clap::Args;
use serde_json::{Map, Value as Json, json};
use shardex_shard_router::{Answers, QueryOptions, ReportKind, ReportRequest};

use super::reading::{self, Reading};
use super::show_header;
use crate::args::Asked;
use crate::exit::ExitCode;
use crate::output::{self, escaped};
use crate::reports::STATUS_COLUMNS;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shardex show /data/dicom/a/im0001.dcm --archive ./archive
  shardex show 2.25.1000001 -a ./archive --json
  shardex show --header /data/dicom/a/im0001.dcm

Exit code 5: --header lists what it could of a file that ends early or is broken.")]
pub(crate) struct Show {
    /// Path of a file, or a StudyInstanceUID, SeriesInstanceUID or SOPInstanceUID.
    pub(crate) what: OsString,
    #[command(flatten)]
    pub(crate) asked: Asked,
    /// Read the file itself and list every element of its header, private ones and sequences included.
    #[arg(long)]
    pub(crate) header: bool,
    /// Characters of a value that --header shows.
    #[arg(long, value_name = "N", default_value_t = 200, requires = "header", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) value_chars: u32,
    /// As one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(show: &Show) -> anyhow::Result<ExitCode> {
    let text = show.what.to_string_lossy();
    let is_uid = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if show.header {
        return show_header::run(show, is_uid);
    }
    let found = match reading::one_archive(&show.asked)? {
        Some(path) if !is_uid => by_path(&reading::open(&path)?, Path::new(&show.what))?,
        _ if is_uid => by_uid(&*reading::ask_one(&show.asked)?, &text)?,
        _ => by_path_elsewhere(&*reading::ask_one(&show.asked)?, &text)?,
    };
    let Some(found) = found else {
        anyhow::bail!("the archive knows nothing of `{}`", escaped(&text));
    };
    let mut to = output::answer();
    if show.json {
        output::write_json_pretty(&mut to, &found)?;
        writeln!(to)?;
    } else {
        write(&mut to, &found, 0)?;
    }
    to.flush()?;
    Ok(ExitCode::Done)
}

fn by_uid(answers: &dyn Answers, uid: &str) -> anyhow::Result<Option<Json>> {
    let literal = reading::quoted(uid);
    for (view, keyword) in
        [("studies", "StudyInstanceUID"), ("series", "SeriesInstanceUID"), ("instances", "SOPInstanceUID")]
    {
        let rows = reading::collect(answers, &format!("SELECT * FROM {view} WHERE {keyword} = {literal}"))?;
        if !rows.is_empty() {
            return Ok(Some(json!({ view: rows.into_iter().map(filled).collect::<Vec<_>>() })));
        }
    }
    Ok(None)
}

/// By a path of this machine, or one as view `files` has it.
fn by_path(reading: &Reading, path: &Path) -> anyhow::Result<Option<Json>> {
    let canonical = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let sources = reading::sources(&reading.archive)?;
    let inside = sources.iter().find_map(|source| {
        let relative = canonical.strip_prefix(&source.root).ok()?;
        Some((Some(source.name.to_string()), relative.to_owned()))
    });
    let (source, relative) = inside.unwrap_or_else(|| (None, path.to_owned()));
    let bytes = relative.as_os_str().as_bytes();
    let at = bytes.iter().rposition(|byte| *byte == b'/');
    let (directory, name) = at.map_or((&b""[..], bytes), |at| (&bytes[..at], &bytes[at + 1..]));
    let Some(ledger) = reading.archive.ledger()? else { return Ok(None) };
    let mut entries = Vec::new();
    ledger.rows(&mut |row| {
        let fits = row.directory == directory
            && row.entry.name.as_bytes() == name
            && source.as_ref().is_none_or(|source| source == row.source);
        if fits {
            entries.push(entry_json(row.source, row.entry));
        }
        true
    })?;
    if entries.is_empty() {
        return Ok(None);
    }
    let mut instances = Vec::new();
    if let Some(text) = relative.to_str() {
        let statement = format!("SELECT * FROM instances WHERE path = {}", reading::quoted(text));
        instances = reading::collect(&reading.router, &statement)?.into_iter().map(filled).collect();
    }
    Ok(Some(json!({ "files": entries, "instances": instances })))
}

/// By a path of the server's machine, or one as view `files` has it.
fn by_path_elsewhere(answers: &dyn Answers, path: &str) -> anyhow::Result<Option<Json>> {
    let request = ReportRequest { kind: ReportKind::Status, is_exact: false };
    let status = reading::report(answers, &request, &QueryOptions::default(), &STATUS_COLUMNS)?;
    let inside = status.iter().filter(|line| line.text("section") == "source").find_map(|line| {
        let relative = Path::new(path).strip_prefix(line.text("root")).ok()?.to_str()?;
        Some((format!("source = {} AND ", reading::quoted(line.text("name"))), relative))
    });
    let (source, relative) = inside.unwrap_or((String::new(), path));
    let rows = |view: &str| {
        let condition = format!("{source}path = {}", reading::quoted(relative));
        reading::collect(answers, &format!("SELECT * FROM {view} WHERE {condition}"))
    };
    let files: Vec<_> = rows("files")?.into_iter().map(filled).collect();
    if files.is_empty() {
        return Ok(None);
    }
    let instances: Vec<_> = rows("instances")?.into_iter().map(filled).collect();
    Ok(Some(json!({ "files": files, "instances": instances })))
}

fn entry_json(source: &str, entry: &shardex_catalog::LedgerEntry) -> Json {
    let detail = entry.detail.as_deref().and_then(|detail| serde_json::from_str::<Json>(detail).ok());
    let object = json!({
        "source": source,
        "state": entry.state.as_str(),
        "kind": entry.kind.as_str(),
        "reason": entry.reason.map(|reason| reason.as_str()),
        "size": entry.stamp.size,
        "missing": entry.missing,
        "detail": detail,
    });
    match object {
        Json::Object(object) => filled(object),
        other => other,
    }
}

fn filled(mut object: Map<String, Json>) -> Json {
    object.retain(|_, value| !value.is_null());
    Json::Object(object)
}

fn write(to: &mut impl Write, value: &Json, depth: usize) -> std::io::Result<()> {
    let indent = "  ".repeat(depth);
    match value {
        Json::Object(object) => {
            let width = object.keys().map(String::len).max().unwrap_or(0);
            for (key, value) in object {
                if value.is_object() || value.is_array() {
                    writeln!(to, "{indent}{key}")?;
                    write(to, value, depth + 1)?;
                } else {
                    writeln!(to, "{indent}{key:width$}  {}", scalar(value))?;
                }
            }
            Ok(())
        }
        Json::Array(items) => {
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    writeln!(to)?;
                }
                write(to, item, depth)?;
            }
            Ok(())
        }
        value => writeln!(to, "{indent}{}", scalar(value)),
    }
}

fn scalar(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), |text| escaped(text).into_owned())
}
