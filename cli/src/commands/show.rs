//! `shardex show`.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Map, Value as Json, json};
use shardex_shard_router::{Answers, QueryOptions, ReportKind, ReportRequest};
use shardex_shard_store::ReadArchive;

use super::{reading, show_header};
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
    let place = Place::of(&show.asked)?;
    let path = || place.by_path(Path::new(&show.what));
    let uid = || by_uid(&*place.answers, &text);
    // Files may be named by a UID, and UIDs may be no such as they should be.
    let (first, second): (&Look<'_>, &Look<'_>) = if is_uid { (&uid, &path) } else { (&path, &uid) };
    let found = match first()? {
        Some(found) => Some(found),
        None => second()?,
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

/// A way to find what was named.
type Look<'l> = dyn Fn() -> anyhow::Result<Option<Json>> + 'l;

/// Where it is looked for.
struct Place {
    answers: Box<dyn Answers>,
    /// The archive, if it is one of this machine.
    archive: Option<ReadArchive>,
}

impl Place {
    fn of(asked: &Asked) -> anyhow::Result<Self> {
        let archive = reading::one_archive(asked)?.map(|path| ReadArchive::open(&path)).transpose()?;
        Ok(Self { answers: reading::ask_one(asked)?, archive })
    }

    /// Names and roots of the sources, as the machine that has the archive mounts them.
    fn sources(&self) -> anyhow::Result<Vec<(String, PathBuf)>> {
        if let Some(archive) = &self.archive {
            let sources = reading::sources(archive)?;
            return Ok(sources.into_iter().map(|source| (source.name.to_string(), source.root)).collect());
        }
        let request = ReportRequest { kind: ReportKind::Status, is_exact: false };
        let status = reading::report(&*self.answers, &request, &QueryOptions::default(), &STATUS_COLUMNS)?;
        let sources = status.iter().filter(|line| line.text("section") == "source");
        Ok(sources.map(|line| (line.text("name").to_owned(), PathBuf::from(line.text("root")))).collect())
    }

    /// By a path of the machine that has the archive, or one as view `files` has it.
    fn by_path(&self, path: &Path) -> anyhow::Result<Option<Json>> {
        let canonical = match self.archive {
            Some(_) => path.canonicalize().unwrap_or_else(|_| path.to_owned()),
            None => path.to_owned(),
        };
        let inside = self.sources()?.into_iter().find_map(|(name, root)| {
            let relative = canonical.strip_prefix(&root).ok()?;
            Some((Some(name), relative.to_owned()))
        });
        let (source, relative) = inside.unwrap_or_else(|| (None, path.to_owned()));
        // The same path may lie below several sources.
        let of_source = source
            .as_deref()
            .map_or_else(String::new, |source| format!("source = {} AND ", reading::quoted(source)));
        let rows = |view: &str| {
            let condition = format!("{of_source}path = {}", path_literal(&relative));
            reading::collect(&*self.answers, &format!("SELECT * FROM {view} WHERE {condition}"))
        };
        let mut files: Vec<_> = rows("files")?.into_iter().map(filled).collect();
        if files.is_empty() {
            return Ok(None);
        }
        self.add_details(&mut files, source.as_deref(), &relative)?;
        let instances: Vec<_> = rows("instances")?.into_iter().map(filled).collect();
        Ok(Some(json!({ "files": files, "instances": instances })))
    }

    /// What the ledger tells of files beyond view `files`: what could be read of those in quarantine.
    fn add_details(&self, files: &mut [Json], source: Option<&str>, path: &Path) -> anyhow::Result<()> {
        let Some(archive) = &self.archive else { return Ok(()) };
        let Some(ledger) = archive.ledger()? else { return Ok(()) };
        let bytes = path.as_os_str().as_bytes();
        let at = bytes.iter().rposition(|byte| *byte == b'/');
        let (directory, name) = at.map_or((&b""[..], bytes), |at| (&bytes[..at], &bytes[at + 1..]));
        ledger.rows(&mut |row| {
            let fits = row.directory == directory
                && row.entry.name.as_bytes() == name
                && source.is_none_or(|source| source == row.source);
            let detail = row.entry.detail.as_deref().filter(|_| fits);
            if let Some(detail) = detail.and_then(|detail| serde_json::from_str::<Json>(detail).ok()) {
                let of_row = |file: &&mut Json| file["source"] == row.source;
                if let Some(file) = files.iter_mut().find(of_row) {
                    file["detail"] = detail;
                }
            }
            true
        })?;
        Ok(())
    }
}

/// A path as view `files` has it: text, or bytes where it is none.
fn path_literal(path: &Path) -> String {
    match path.to_str() {
        Some(text) => reading::quoted(text),
        None => {
            let bytes = path.as_os_str().as_bytes();
            format!("x'{}'", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
        }
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
