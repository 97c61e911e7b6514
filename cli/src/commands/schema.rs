//! `shardex schema`.

use clap::Args;
use shardex_catalog::{ATTRIBUTES, Cell, ColumnType, Level, Scope, dicom_metadata_name};

use crate::args::Format;
use crate::exit::ExitCode;
use crate::output::{self, Rows};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shardex schema
  shardex schema --format csv | grep -i radio

A keyword is a column of the views of its scope and of those below it: one of scope study is in `studies`, and in
`series` and `instances` too. `dicom_metadata` has all of them by their snake_case names.")]
pub(crate) struct Schema {
    /// How the list is written.
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) format: Format,
    /// As --format json.
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(schema: &Schema) -> anyhow::Result<ExitCode> {
    let format = if schema.json { Format::Json } else { schema.format };
    let mut rows = Rows::new(output::answer(), format);
    let names = ["keyword", "dicom_metadata", "scope", "stored", "vr", "type", "indexed"];
    rows.columns(names.map(str::to_owned).to_vec())?;
    for attribute in ATTRIBUTES {
        let scope = match attribute.scope {
            Scope::Patient => "patient",
            Scope::Study => "study",
            Scope::Series => "series",
            Scope::Instance => "instance",
        };
        let stored = match attribute.level {
            Level::Study => "study_header",
            Level::Series => "series_header",
            Level::Stack => "stack_header",
            Level::File => "file",
        };
        let column = match attribute.column {
            ColumnType::Text => "text",
            ColumnType::Integer => "integer",
            ColumnType::Real => "real",
            ColumnType::Items => "json",
        };
        let indexed = if attribute.indexed { "yes" } else { "" };
        let vr = format!("{:?}", attribute.vr);
        let flat = dicom_metadata_name(attribute.keyword);
        let cells = [attribute.keyword, &flat, scope, stored, &vr, column, indexed];
        rows.row(&cells.map(|cell| Cell::Text(cell.to_owned())))?;
    }
    rows.end()?;
    Ok(ExitCode::Done)
}
