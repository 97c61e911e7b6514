//! `shardex tree`: a study, or all studies of a patient, as a tree.

use std::io::Write;

use clap::Args;
use serde_json::{Map, Value as Json, json};
use shardex_shard_router::Answers;

use super::reading;
use crate::args::Asked;
use crate::exit::ExitCode;
use crate::output::{self, byte_size, escaped, grouped};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shardex tree 2.25.1000001 --archive ./archive
  shardex tree PAT0001 --files -a ./archive")]
pub(crate) struct Tree {
    /// StudyInstanceUID or PatientID.
    pub(crate) what: String,
    #[command(flatten)]
    pub(crate) asked: Asked,
    /// List the file of every instance, too.
    #[arg(long)]
    pub(crate) files: bool,
    /// As one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

type Row = Map<String, Json>;

struct Study {
    row: Row,
    series: Vec<Series>,
}

struct Series {
    row: Row,
    /// `None` unless files were asked for.
    files: Option<Vec<Row>>,
}

pub(crate) fn run(tree: &Tree) -> anyhow::Result<ExitCode> {
    let answers = reading::ask_one(&tree.asked)?;
    let studies = find(&*answers, tree)?;
    if studies.is_empty() {
        anyhow::bail!(
            "no study and no patient of the archive is `{}`: `shardex show` also takes series, instances and paths",
            escaped(&tree.what)
        );
    }
    let mut to = output::answer();
    if tree.json {
        let studies: Vec<_> = studies.into_iter().map(study_json).collect();
        output::write_json_pretty(&mut to, &json!({ "studies": studies }))?;
        writeln!(to)?;
    } else {
        studies.iter().try_for_each(|study| write(&mut to, study))?;
    }
    to.flush()?;
    Ok(ExitCode::Done)
}

fn find(answers: &dyn Answers, tree: &Tree) -> anyhow::Result<Vec<Study>> {
    let what = reading::quoted(&tree.what);
    for keyword in ["StudyInstanceUID", "PatientID"] {
        let statement = format!(
            "SELECT domain, StudyInstanceUID, PatientID, PatientName, StudyDate, StudyDescription, AccessionNumber, \
             ModalitiesInStudy, NumberOfStudyRelatedSeries, NumberOfStudyRelatedInstances, bytes FROM studies \
             WHERE {keyword} = {what} ORDER BY StudyDate, StudyInstanceUID, domain"
        );
        let rows = reading::collect(answers, &statement)?;
        if !rows.is_empty() {
            return rows.into_iter().map(|row| study(answers, row, tree.files)).collect();
        }
    }
    Ok(Vec::new())
}

fn study(answers: &dyn Answers, row: Row, files: bool) -> anyhow::Result<Study> {
    let condition = format!(
        "domain = {} AND StudyInstanceUID = {}",
        reading::quoted(text(&row, "domain")),
        reading::quoted(text(&row, "StudyInstanceUID"))
    );
    let statement = format!(
        "SELECT SeriesInstanceUID, Modality, SeriesNumber, SeriesDescription, NumberOfSeriesRelatedInstances, \
         headers, bytes FROM series WHERE {condition} ORDER BY SeriesNumber, SeriesInstanceUID"
    );
    let series = reading::collect(answers, &statement)?.into_iter().map(|row| {
        let uid = reading::quoted(text(&row, "SeriesInstanceUID"));
        let statement = format!(
            "SELECT InstanceNumber, SOPInstanceUID, file_path, size, state FROM instances \
             WHERE {condition} AND SeriesInstanceUID = {uid} ORDER BY InstanceNumber, file_path"
        );
        let files = files.then(|| reading::collect(answers, &statement)).transpose()?;
        Ok(Series { row, files })
    });
    let series = series.collect::<anyhow::Result<_>>()?;
    Ok(Study { row, series })
}

fn study_json(study: Study) -> Json {
    let series = study.series.into_iter().map(|series| {
        let mut row = series.row;
        if let Some(files) = series.files {
            row.insert("files".to_owned(), json!(files));
        }
        row
    });
    let mut row = study.row;
    row.insert("series".to_owned(), series.collect());
    Json::Object(row)
}

fn write(to: &mut impl Write, study: &Study) -> std::io::Result<()> {
    let row = &study.row;
    writeln!(to, "study {}", escaped(text(row, "StudyInstanceUID")))?;
    let domain = Some(text(row, "domain")).filter(|domain| *domain != "default");
    let about = [
        dated(text(row, "StudyDate")),
        text(row, "ModalitiesInStudy").replace('\\', ", "),
        text(row, "StudyDescription").to_owned(),
        labelled("patient", &format!("{} {}", text(row, "PatientID"), text(row, "PatientName"))),
        labelled("accession", text(row, "AccessionNumber")),
        labelled("domain", domain.unwrap_or("")),
        format!("{} series", grouped(number(row, "NumberOfStudyRelatedSeries"))),
        format!("{} instances", grouped(number(row, "NumberOfStudyRelatedInstances"))),
        byte_size(number(row, "bytes")),
    ];
    writeln!(to, "│  {}", joined(&about))?;
    for (n, series) in study.series.iter().enumerate() {
        let is_last = n + 1 == study.series.len();
        write_series(to, series, is_last)?;
    }
    writeln!(to)
}

fn write_series(to: &mut impl Write, series: &Series, is_last: bool) -> std::io::Result<()> {
    let row = &series.row;
    let (branch, stem) = if is_last { ("└─", "  ") } else { ("├─", "│ ") };
    let about = [
        labelled("series", &any(row, "SeriesNumber")),
        text(row, "Modality").to_owned(),
        text(row, "SeriesDescription").to_owned(),
        format!("{} instances", grouped(number(row, "NumberOfSeriesRelatedInstances"))),
        byte_size(number(row, "bytes")),
        text(row, "SeriesInstanceUID").to_owned(),
    ];
    writeln!(to, "{branch} {}", joined(&about))?;
    for file in series.files.iter().flatten() {
        let warning = if text(file, "state") == "warning" { "warning" } else { "" };
        let path = file.get("file_path").map_or(String::new(), shown);
        let about = [any(file, "InstanceNumber"), byte_size(number(file, "size")), warning.to_owned(), path];
        writeln!(to, "{stem}    {}", joined(&about))?;
    }
    Ok(())
}

/// The parts that say something, on one line.
fn joined(parts: &[String]) -> String {
    let parts: Vec<_> = parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty()).collect();
    escaped(&parts.join("  ")).into_owned()
}

fn labelled(label: &str, value: &str) -> String {
    if value.trim().is_empty() { String::new() } else { format!("{label} {}", value.trim()) }
}

/// `YYYYMMDD` as `YYYY-MM-DD`, anything else as it is.
fn dated(date: &str) -> String {
    if date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit()) {
        format!("{}-{}-{}", &date[..4], &date[4..6], &date[6..])
    } else {
        date.to_owned()
    }
}

fn text<'r>(row: &'r Row, column: &str) -> &'r str {
    row.get(column).and_then(Json::as_str).unwrap_or("")
}

fn number(row: &Row, column: &str) -> u64 {
    row.get(column).and_then(Json::as_u64).unwrap_or(0)
}

fn any(row: &Row, column: &str) -> String {
    row.get(column).map_or(String::new(), shown)
}

fn shown(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}
