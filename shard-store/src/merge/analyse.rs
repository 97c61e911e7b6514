//! What a statement reads and what it gives, found by preparing it against empty views.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, Statement};
use shardex_catalog::{Column, ColumnType, View};

use super::authorize::{Seen, SharedSeen, confine};
use super::database::create_table;
use super::error::{Error, message};
use super::limits::Limits;
use super::list::{self, List};
use super::names::ListNames;
use super::{joins, names, text};

/// Gives the columns of a view.
pub type Columns = fn(View) -> &'static [Column];

/// A column of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultColumn {
    /// Its name, as SQLite gives it.
    pub name: String,
    /// Type of the view's column that it shows unchanged; `None` for a computed one.
    pub column_type: Option<ColumnType>,
}

/// What a statement needs and gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Analysis {
    /// The views that it reads, with the columns it reads of each; none means that only the number
    /// of rows matters.
    pub reads: BTreeMap<View, BTreeSet<String>>,
    /// The columns of its answer.
    pub columns: Vec<ResultColumn>,
}

/// Analyses statements. One serves a process: it holds all views, empty.
#[derive(Debug)]
pub struct Analyser {
    connection: Mutex<Connection>,
    seen: SharedSeen,
    limits: Limits,
    columns: Columns,
    lists: Vec<ListNames>,
}

impl Analyser {
    /// An analyser of statements over views with these columns.
    ///
    /// # Errors
    /// [`Error::Failed`] if SQLite cannot make the views.
    pub fn new(columns: Columns, limits: Limits) -> Result<Self, Error> {
        Self::with_lists(columns, limits, &[])
    }

    /// An analyser of statements that may read these lists, too.
    ///
    /// # Errors
    /// As [`Analyser::new`]; [`Error::Refused`] for lists that do not go together.
    pub fn with_lists(columns: Columns, limits: Limits, lists: &[List]) -> Result<Self, Error> {
        list::check(lists)?;
        let failed = |error: rusqlite::Error| Error::Failed(message(&error));
        let mut connection = Connection::open_in_memory().map_err(failed)?;
        for view in View::ALL {
            connection.execute_batch(&create_table(*view, columns(*view))).map_err(failed)?;
        }
        for list in lists {
            list.create(&connection).map_err(failed)?;
        }
        limits.apply(&connection).map_err(failed)?;
        let seen = SharedSeen::default();
        let names: Vec<String> = lists.iter().map(|list| list.name().to_owned()).collect();
        confine(&mut connection, &seen, names).map_err(failed)?;
        let names =
            |list: &List| ListNames { name: list.name().to_owned(), columns: list.columns().to_vec() };
        let lists = lists.iter().map(names).collect();
        Ok(Self { connection: Mutex::new(connection), seen, limits, columns, lists })
    }

    /// Analyses a statement without running it.
    ///
    /// # Errors
    /// [`Error::Refused`] for anything but one statement that only reads the views, with the reason
    /// and, where a name is unknown, the names that exist.
    pub fn analyse(&self, sql: &str) -> Result<Analysis, Error> {
        text::check(sql, &self.limits)?;
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Seen::default();
        let prepared = connection.prepare(sql);
        let seen = std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner));
        let statement = prepared.map_err(|error| {
            let explained = || names::explain(&message(&error), sql, self.columns, &self.lists);
            Error::Refused(seen.refused.unwrap_or_else(explained))
        })?;
        check_kind(&statement)?;
        let mut reads = seen.reads;
        joins::complete(sql, self.columns, !self.lists.is_empty(), &mut reads);
        Ok(Analysis { columns: result_columns(&statement, self.columns), reads })
    }
}

fn check_kind(statement: &Statement<'_>) -> Result<(), Error> {
    let refused = |reason: &str| Err(Error::Refused(reason.to_owned()));
    if statement.is_explain() != 0 {
        return refused("EXPLAIN is not supported: it would describe the merge, not the shards");
    }
    if !statement.readonly() || statement.column_count() == 0 {
        return refused("only one SELECT (or WITH … SELECT, or VALUES) is allowed");
    }
    if statement.parameter_count() > 0 {
        return refused("the statement has parameters (`?`, `:name`): write the values into it");
    }
    Ok(())
}

fn result_columns(statement: &Statement<'_>, columns: Columns) -> Vec<ResultColumn> {
    let origin = |table: Option<&str>, column: Option<&str>| {
        let view = table?.parse::<View>().ok()?;
        let name = column?;
        columns(view)
            .iter()
            .find(|known| known.name.eq_ignore_ascii_case(name))
            .map(|known| known.column_type)
    };
    statement
        .columns_with_metadata()
        .map(|column| ResultColumn {
            name: column.name().to_owned(),
            column_type: origin(column.table_name(), column.origin_name()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;

    fn columns(view: View) -> &'static [Column] {
        static STUDIES: LazyLock<Vec<Column>> = LazyLock::new(|| {
            ["domain", "StudyInstanceUID", "PatientID", "StudyDate"]
                .map(|name| Column { name: name.into(), column_type: ColumnType::Text })
                .into()
        });
        static OTHERS: LazyLock<Vec<Column>> = LazyLock::new(|| {
            [
                ("StudyInstanceUID", ColumnType::Text),
                ("Rows", ColumnType::Integer),
                ("Größe", ColumnType::Real),
            ]
            .map(|(name, column_type)| Column { name: name.into(), column_type })
            .into()
        });
        if view == View::Studies { &STUDIES } else { &OTHERS }
    }

    fn analyse(sql: &str) -> Result<Analysis, Error> {
        Analyser::new(columns, Limits::default()).expect("an analyser").analyse(sql)
    }

    fn reads(sql: &str) -> String {
        let analysis = analyse(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        let view = |(view, columns): (&View, &BTreeSet<String>)| {
            format!("{view}({})", columns.iter().cloned().collect::<Vec<_>>().join(","))
        };
        analysis.reads.iter().map(view).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_columns_read_are_found() {
        for (sql, expected) in [
            ("SELECT 1", ""),
            ("VALUES (1),(2)", ""),
            ("SELECT count(*) FROM STUDIES", "studies()"),
            ("SELECT patientid FROM studies WHERE \"StudyDate\" > '2'", "studies(PatientID,StudyDate)"),
            ("SELECT * FROM studies", "studies(PatientID,StudyDate,StudyInstanceUID,domain)"),
            ("SELECT größe FROM series", "series(Größe)"),
            ("WITH x AS (SELECT Rows r FROM series) SELECT count(*) FROM x", "series(Rows)"),
            (
                "SELECT count(*) FROM studies NATURAL JOIN series",
                "studies(StudyInstanceUID) series(StudyInstanceUID)",
            ),
            (
                "SELECT count(*) FROM studies JOIN series USING (studyinstanceuid)",
                "studies(StudyInstanceUID) series(StudyInstanceUID)",
            ),
            ("SELECT count(*) FROM studies NATURAL JOIN (SELECT 'x' AS 'domain')", "studies(domain)"),
            ("SELECT ' using series ' FROM studies -- natural join", "studies()"),
            (
                "SELECT domain FROM studies s WHERE EXISTS (SELECT * FROM series WHERE Rows > 5)",
                "studies(domain) series(Größe,Rows,StudyInstanceUID)",
            ),
            ("SELECT s.value FROM studies, json_each(studies.PatientID) s", "studies(PatientID)"),
        ] {
            assert_eq!(reads(sql), expected, "{sql}");
        }
    }

    #[test]
    fn result_columns_carry_names_and_types() {
        let analysis = analyse("SELECT Rows AS r, StudyInstanceUID, Rows+1 FROM series").expect("valid");
        let columns: Vec<_> = analysis.columns.iter().map(|c| (c.name.as_str(), c.column_type)).collect();
        assert_eq!(
            columns,
            [
                ("r", Some(ColumnType::Integer)),
                ("StudyInstanceUID", Some(ColumnType::Text)),
                ("Rows+1", None)
            ]
        );
    }

    #[test]
    fn what_is_refused_says_why() {
        let wide = format!("SELECT {}1", "1+".repeat(5000));
        for (sql, expected) in [
            ("SELECT x FROM nowhere", "no such table: nowhere; there are: patients, studies"),
            (
                "SELECT patient_id FROM studies",
                "no such column: patient_id; `studies` has: domain, StudyInstanceUID",
            ),
            ("SELECT \"2019\" FROM studies", "no such column"),
            ("SELECT rowid FROM studies", "no such column: rowid"),
            ("SELECT count(*) FROM sqlite_schema", "no such table: sqlite_schema"),
            ("SELECT name FROM sqlite_master", "no such table: sqlite_master"),
            ("SELECT * FROM pragma_database_list", "no such table: pragma_database_list"),
            ("SELECT * FROM pragma_table_info('studies')", "no such table: pragma_table_info"),
            ("SELECT * FROM dbstat", "no such table: dbstat"),
            ("PRAGMA journal_mode", "PRAGMA is not allowed"),
            ("PRAGMA query_only = 0", "PRAGMA is not allowed"),
            ("ATTACH 'x' AS y", "ATTACH"),
            ("DETACH main", "ATTACH"),
            ("DELETE FROM studies", "only one SELECT"),
            ("INSERT INTO studies(domain) VALUES (1)", "only one SELECT"),
            ("UPDATE studies SET domain = 1", "only one SELECT"),
            ("DROP TABLE studies", "only one SELECT"),
            ("CREATE TABLE x(y)", "only one SELECT"),
            ("CREATE TEMP TABLE x(y)", "only one SELECT"),
            ("CREATE VIEW x AS SELECT 1", "only one SELECT"),
            ("VACUUM INTO 'x'", "only one SELECT"),
            ("BEGIN", "only one SELECT"),
            ("ANALYZE", "only one SELECT"),
            ("REINDEX", "only one SELECT"),
            ("WITH x AS (SELECT 1) DELETE FROM studies", "only one SELECT"),
            ("EXPLAIN SELECT 1", "EXPLAIN"),
            ("EXPLAIN QUERY PLAN SELECT 1", "EXPLAIN"),
            ("SELECT load_extension('x')", "`load_extension` is not allowed"),
            ("SELECT readfile('x')", "no such function: readfile"),
            ("SELECT sqlite_compileoption_get(1)", "not allowed"),
            ("SELECT fts3_tokenizer('x')", "fts3_tokenizer"),
            ("SELECT * FROM studies WHERE PatientID = ?", "parameters"),
            ("SELECT * FROM studies WHERE PatientID = :x", "parameters"),
            ("SELECT 1; SELECT 2", "several statements"),
            ("SELEC 1", "syntax error"),
            (wide.as_str(), "too large"),
        ] {
            let error = analyse(sql).err().unwrap_or_else(|| panic!("{sql:.60} was accepted"));
            assert!(error.to_string().contains(expected), "{sql:.60}: {error}");
        }
    }

    #[test]
    fn lists_are_read_and_open_nothing_else() {
        let row = vec![Some("1.2".to_owned()), None];
        let list = List::new("cohort", vec!["uid".into(), "arm".into()], vec![row]).expect("valid");
        let analyser = Analyser::with_lists(columns, Limits::default(), &[list]).expect("an analyser");
        let reads = |sql: &str| analyser.analyse(sql).map(|analysis| format!("{:?}", analysis.reads));
        let joined = "SELECT arm FROM studies JOIN cohort ON uid = StudyInstanceUID";
        assert_eq!(reads(joined).as_deref(), Ok("{Studies: {\"StudyInstanceUID\"}}"));
        assert_eq!(reads("SELECT count(*) FROM COHORT").as_deref(), Ok("{}"));
        for (sql, expected) in [
            ("SELECT name FROM sqlite_schema", "no such table: sqlite_"),
            ("DELETE FROM cohort", "only one SELECT"),
            ("INSERT INTO cohort VALUES (1, 2)", "only one SELECT"),
            ("DROP TABLE cohort", "only one SELECT"),
            ("SELECT x FROM cohorts", "radiopharmaceuticals, conflicts, cohort"),
            ("SELECT ar FROM cohort", "`cohort` has: uid, arm"),
        ] {
            let error = reads(sql).expect_err(sql).to_string();
            assert!(error.contains(expected), "{sql}: {error}");
        }
        // Other statements know nothing of it.
        assert!(analyse("SELECT * FROM cohort").is_err());
    }

    #[test]
    fn an_analyser_goes_on_after_a_refusal() {
        let analyser = Analyser::new(columns, Limits::default()).expect("an analyser");
        assert!(analyser.analyse("PRAGMA x").is_err());
        assert!(analyser.analyse("SELECT domain FROM studies").is_ok());
        let error = analyser.analyse("SELECT x FROM studies").expect_err("no such column");
        assert!(error.to_string().starts_with("no such column: x"), "{error}");
    }
}
