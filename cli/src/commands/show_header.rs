//! `shardex show --header`: every element of one file's header.

use std::fs::File;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Value as Json, json};
use shardex_extract::{HeaderElement, HeaderEnd, HeaderLimits, HeaderValue, header_elements};

use super::reading;
use super::show::Show;
use crate::exit::ExitCode;
use crate::output::{self, escaped};

pub(super) fn run(show: &Show, is_uid: bool) -> anyhow::Result<ExitCode> {
    let path = path_of(show, is_uid)?;
    let shown = path.to_string_lossy();
    let shown = escaped(&shown);
    let about = || format!("`{shown}`");
    let metadata = std::fs::metadata(&path).with_context(about)?;
    anyhow::ensure!(metadata.is_file(), "`{shown}` is no file");
    let file = File::open(&path).with_context(about)?;
    let limits = HeaderLimits { value_chars_max: show.value_chars as usize, ..HeaderLimits::default() };
    let mut list = List { to: output::answer(), is_json: show.json, is_begun: false, error: None };
    list.begin()?;
    let end = header_elements(&file, metadata.len(), &limits, &mut |element| list.tell(&element));
    list.finish()?;
    Ok(told(end.with_context(about)?))
}

/// The file itself, where there is one; otherwise what the archive knows by this path or UID.
fn path_of(show: &Show, is_uid: bool) -> anyhow::Result<PathBuf> {
    let given = Path::new(&show.what);
    if given.exists() {
        return Ok(given.to_owned());
    }
    let text = show.what.to_string_lossy();
    let archive = reading::one_archive(&show.asked).ok().flatten().with_context(|| {
        format!("there is no file `{text}` on this machine; with one --archive, a path or UID of it will do")
    })?;
    let reading = reading::open(&archive)?;
    if !is_uid {
        let sources = reading::sources(&reading.archive)?;
        let found = sources.iter().map(|source| source.root.join(given)).find(|path| path.exists());
        return found.with_context(|| format!("no source of the archive has a file `{}`", escaped(&text)));
    }
    let statement = format!(
        "SELECT file_path FROM dicom_metadata WHERE sop_instance_uid = {} ORDER BY file_path LIMIT 1",
        reading::quoted(&text)
    );
    let rows = reading::collect(&reading.router, &statement)?;
    let path = rows.first().and_then(|row| row.get("file_path")?.as_str().map(PathBuf::from));
    path.with_context(|| format!("the archive has no instance `{}`", escaped(&text)))
}

/// Says what a listing lacks.
fn told(end: HeaderEnd) -> ExitCode {
    match end {
        HeaderEnd::Whole | HeaderEnd::Stopped => return ExitCode::Done,
        HeaderEnd::Limited => output::say("note: very deep or very many items are left out"),
        HeaderEnd::Truncated(at) => {
            output::say(&format!("note: the file ends inside the element at offset {at}"))
        }
        HeaderEnd::Broken(at) => output::say(&format!("note: what stands at offset {at} is no element")),
    }
    ExitCode::Partial
}

/// The listing on its way out.
struct List<W> {
    to: W,
    is_json: bool,
    is_begun: bool,
    error: Option<std::io::Error>,
}

impl<W: Write> List<W> {
    fn begin(&mut self) -> std::io::Result<()> {
        if self.is_json { self.to.write_all(b"[") } else { Ok(()) }
    }

    fn tell(&mut self, element: &HeaderElement) -> ControlFlow<()> {
        let written = if self.is_json { self.json(element) } else { self.line(element) };
        self.is_begun = true;
        match written {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.error = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    fn json(&mut self, element: &HeaderElement) -> std::io::Result<()> {
        self.to.write_all(if self.is_begun { b",\n" } else { b"\n" })?;
        output::write_json(&mut self.to, &element_json(element))
    }

    fn line(&mut self, element: &HeaderElement) -> std::io::Result<()> {
        let length = element.length.map_or_else(|| "-".to_owned(), |length| length.to_string());
        let keyword = element.keyword.unwrap_or("");
        let value = match &element.value {
            HeaderValue::Text { text, is_cut } => format!("{}{}", escaped(text), dots(*is_cut)),
            HeaderValue::Bytes { hex, is_cut } => format!("<{hex}>{}", dots(*is_cut)),
            HeaderValue::Items | HeaderValue::Unread => String::new(),
        };
        let line = format!("{} {} {length:>6} {keyword:32} {value}", element.path, escaped(&element.vr));
        writeln!(self.to, "{}", line.trim_end())
    }

    fn finish(mut self) -> std::io::Result<()> {
        if let Some(error) = self.error {
            return Err(error);
        }
        if self.is_json {
            self.to.write_all(b"\n]\n")?;
        }
        self.to.flush()
    }
}

fn dots(is_cut: bool) -> &'static str {
    if is_cut { " ..." } else { "" }
}

fn element_json(element: &HeaderElement) -> Json {
    let mut object = json!({
        "path": element.path,
        "keyword": element.keyword,
        "vr": element.vr,
        "length": element.length,
        "offset": element.offset,
    });
    match &element.value {
        HeaderValue::Text { text, is_cut } => {
            object["value"] = json!(text);
            object["cut"] = json!(is_cut);
        }
        HeaderValue::Bytes { hex, is_cut } => {
            object["bytes"] = json!(hex);
            object["cut"] = json!(is_cut);
        }
        HeaderValue::Items | HeaderValue::Unread => {}
    }
    object
}
