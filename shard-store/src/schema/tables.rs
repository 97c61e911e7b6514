//! Tables of a shard.

use shardex_catalog::{AttributeId, ColumnType, Level, View, attribute, attributes_of_level};

use super::views;
use crate::history;
use crate::packed;
use crate::sqlite::Format;

/// Format of a shard file.
pub(crate) const SHARD: Format =
    Format { application_id: 0x5368_4478, migrations: &[version_1, version_2, version_3, version_4] };

/// The attribute that is stored packed, in a column of its own.
pub(crate) const STORED_UID_COLUMN: &str = "SOPInstanceUID";

/// Name of the table of a level.
pub(crate) fn table_of_level(level: Level) -> &'static str {
    match level {
        Level::Study => "study_header",
        Level::Series => "series_header",
        Level::Stack => "stack_header",
        Level::File => "file",
    }
}

/// The attributes that a level's table stores in columns under their keyword, in order.
pub(crate) fn level_columns(level: Level) -> impl Iterator<Item = AttributeId> {
    attributes_of_level(level).filter(|id| attribute(*id).keyword != STORED_UID_COLUMN)
}

fn version_1() -> String {
    let mut ddl = String::from(history::TABLE);
    ddl.push_str(
        "
CREATE TABLE source(
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  root NOT NULL);
CREATE TABLE directory(
  id INTEGER PRIMARY KEY,
  source INTEGER NOT NULL REFERENCES source(id),
  path NOT NULL,
  fence INTEGER NOT NULL,
  UNIQUE(source, path));
CREATE TABLE directory_range(
  directory INTEGER NOT NULL REFERENCES directory(id),
  hash_from INTEGER NOT NULL,
  hash_to INTEGER NOT NULL,
  fence INTEGER NOT NULL,
  PRIMARY KEY(directory, hash_from, hash_to)) WITHOUT ROWID;
",
    );
    let header = |level: Level, own: &str| {
        format!(
            "CREATE TABLE {}(\n  id INTEGER PRIMARY KEY AUTOINCREMENT,\n  digest BLOB NOT NULL UNIQUE,\n{own}  \
             n_files INTEGER NOT NULL,\n  n_live INTEGER NOT NULL,\n  live_bytes INTEGER NOT NULL,\n  odd TEXT{});\n",
            table_of_level(level),
            attribute_columns(level),
        )
    };
    ddl.push_str(&header(Level::Study, "  domain TEXT NOT NULL,\n  patient_name_folded TEXT,\n"));
    ddl.push_str(&header(
        Level::Series,
        "  study INTEGER NOT NULL REFERENCES study_header(id),\n  study_date TEXT,\n",
    ));
    ddl.push_str(&header(Level::Stack, "  series INTEGER NOT NULL REFERENCES series_header(id),\n"));
    ddl.push_str(&format!(
        "CREATE TABLE file(
  id INTEGER PRIMARY KEY,
  directory INTEGER NOT NULL REFERENCES directory(id),
  name NOT NULL,
  stack INTEGER NOT NULL REFERENCES stack_header(id),
  sop_instance_uid NOT NULL,
  twin INTEGER NOT NULL,
  is_primary INTEGER NOT NULL,
  size INTEGER NOT NULL,
  mtime_ns INTEGER NOT NULL,
  fence INTEGER NOT NULL,
  digest BLOB,
  warnings TEXT,
  odd TEXT{});\n",
        attribute_columns(Level::File)
    ));
    ddl.push_str(
        "CREATE UNIQUE INDEX file_name ON file(directory, name);
CREATE UNIQUE INDEX file_sop_instance_uid ON file(sop_instance_uid, twin);
CREATE INDEX file_stack ON file(stack);
CREATE INDEX stack_header_series ON stack_header(series);
CREATE INDEX series_header_study ON series_header(study);
CREATE INDEX series_header_study_date_modality ON series_header(study_date, \"Modality\");
CREATE INDEX study_header_patient_study ON study_header(\"PatientID\", \"StudyInstanceUID\");
CREATE INDEX study_header_patient_name_folded ON study_header(patient_name_folded);
",
    );
    for level in [Level::Study, Level::Series, Level::Stack] {
        // The composite index begins with PatientID and serves it too.
        let single = |id: &AttributeId| attribute(*id).indexed && attribute(*id).keyword != "PatientID";
        for id in level_columns(level).filter(single) {
            let (table, keyword) = (table_of_level(level), attribute(id).keyword);
            ddl.push_str(&format!("CREATE INDEX {table}_{keyword} ON {table}(\"{keyword}\");\n"));
        }
    }
    ddl
}

/// What summaries and reports look for is rare, and else would cost a walk over all files.
fn version_2() -> String {
    "CREATE INDEX file_warnings ON file(warnings) WHERE warnings IS NOT NULL;
CREATE INDEX file_twin ON file(sop_instance_uid) WHERE twin > 0;\n"
        .to_owned()
}

/// View `files` has got `file_path`. The views of this version and those before are in their files only: a new file gets its
/// views once, because SQLite takes milliseconds to read them.
fn version_3() -> String {
    String::new()
}

/// Columns of view `dicom_metadata` have got other names.
fn version_4() -> String {
    let drop: String = View::ALL.iter().map(|view| format!("DROP VIEW IF EXISTS {view};\n")).collect();
    drop + &views::create_views()
}

fn attribute_columns(level: Level) -> String {
    level_columns(level)
        .map(|id| {
            let affinity = match attribute(id).column {
                _ if packed::is_packed(attribute(id)) => "BLOB",
                ColumnType::Text | ColumnType::Items => "TEXT",
                ColumnType::Integer => "INTEGER",
                ColumnType::Real => "REAL",
            };
            format!(",\n  \"{}\" {affinity}", attribute(id).keyword)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    #[test]
    fn the_schema_is_valid_and_every_view_can_be_read() {
        let connection = Connection::open_in_memory().expect("memory");
        let ddl: String = SHARD.migrations.iter().map(|step| step()).collect();
        connection.execute_batch(&ddl).expect("valid DDL");
        for view in shardex_catalog::View::ALL {
            let columns = crate::view_columns(*view);
            let statement = connection.prepare(&format!("SELECT * FROM {view}")).expect("a valid view");
            let names: Vec<_> = statement.column_names().map(str::to_owned).collect();
            let expected: Vec<_> = columns.iter().map(|column| column.name.clone()).collect();
            assert_eq!(names, expected, "{view}");
        }
    }

    /// DESIGN: each of these is a search, not a scan.
    #[test]
    fn look_ups_search() {
        let connection = Connection::open_in_memory().expect("memory");
        let ddl: String = SHARD.migrations.iter().map(|step| step()).collect();
        connection.execute_batch(&ddl).expect("valid DDL");
        for (view, condition) in [
            ("instances", "PatientID = 'x'"),
            ("instances", "StudyInstanceUID = '1.2'"),
            ("instances", "SeriesInstanceUID = '1.2'"),
            ("studies", "PatientID = 'x'"),
            ("studies", "AccessionNumber = 'x'"),
            ("series", "Modality = 'PT'"),
            ("series", "Manufacturer = 'x'"),
            ("series", "Radiopharmaceutical = 'FDG'"),
            ("studies", "StudyDate BETWEEN '20200101' AND '20201231'"),
            ("dicom_metadata", "patient_id = 'x' AND study_instance_uid = '1.2'"),
            ("dicom_metadata", "modality = 'PT'"),
        ] {
            let sql = format!("EXPLAIN QUERY PLAN SELECT 1 FROM {view} WHERE {condition}");
            let mut statement = connection.prepare(&sql).expect("valid");
            let plan: Vec<String> = statement
                .query_map([], |row| row.get::<_, String>(3))
                .expect("a plan")
                .collect::<Result<_, _>>()
                .expect("text");
            assert!(plan.iter().all(|step| !step.starts_with("SCAN")), "{view} {condition}: {plan:?}");
        }
    }
}
