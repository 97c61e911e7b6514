//! What the findings count, row by row.

use rusqlite::Connection;
use shardex_catalog::{Cell, View};

use crate::leaf::cell;
use crate::schema::defined_view;

/// Streams the rows of a statement to `row` until that returns false. `today` is its only parameter.
pub(super) fn run(
    connection: &Connection,
    sql: &str,
    today: Option<&str>,
    row: &mut dyn FnMut(Vec<Cell>) -> bool,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(sql)?;
    let width = statement.column_count();
    if let Some(today) = today {
        statement.raw_bind_parameter(1, today)?;
    }
    let mut rows = statement.raw_query();
    while let Some(found) = rows.next()? {
        let cells = (0..width).map(|at| found.get_ref(at).map(cell)).collect::<rusqlite::Result<_>>()?;
        if !row(cells) {
            break;
        }
    }
    Ok(())
}

/// One arm for each problem. A study is listed once a problem, with its earliest date.
pub(super) fn dates() -> String {
    let study = |problem: &str, other: &str, having: &str| {
        format!(
            "SELECT '{problem}', t.domain, t.\"StudyInstanceUID\", min(t.\"PatientID\"), min(t.\"StudyDate\"), {other}, \
             sum(t.n_live) FROM study_header t WHERE t.n_live > 0 \
             GROUP BY t.domain, t.\"StudyInstanceUID\" HAVING {having}"
        )
    };
    let series = "SELECT 'series_before_study', t.domain, t.\"StudyInstanceUID\", min(t.\"PatientID\"), \
         min(t.\"StudyDate\"), min(s.\"SeriesDate\"), sum(s.n_live) \
         FROM series_header s JOIN study_header t ON s.study = t.id \
         WHERE s.n_live > 0 AND s.\"SeriesDate\" < t.\"StudyDate\" GROUP BY t.domain, t.\"StudyInstanceUID\"";
    [
        study("undated", "NULL", "min(t.\"StudyDate\") IS NULL"),
        study("early", "NULL", "min(t.\"StudyDate\") < '19700101'"),
        study("future", "max(t.\"StudyDate\")", "max(t.\"StudyDate\") > ?1"),
        study("before_birth", "max(t.\"PatientBirthDate\")", "max(t.\"PatientBirthDate\" > t.\"StudyDate\")"),
        series.to_owned(),
    ]
    .join(" UNION ALL ")
}

pub(super) fn split_studies() -> String {
    let arm = |keyword: &str, alias: char, from: &str| {
        format!(
            "SELECT '{keyword}', domain, uid, count(*), group_concat(value || ' (' || n || ')', ', '), sum(n) FROM (\
             SELECT t.domain AS domain, t.\"StudyInstanceUID\" AS uid, {alias}.\"{keyword}\" AS value, \
             sum({alias}.n_live) AS n FROM {from} WHERE {alias}.n_live > 0 AND value IS NOT NULL \
             GROUP BY 1, 2, 3 ORDER BY n DESC, value) GROUP BY domain, uid HAVING count(*) > 1"
        )
    };
    [
        arm("PatientID", 't', "study_header t"),
        arm("StudyDate", 't', "study_header t"),
        arm("InstitutionName", 's', "series_header s JOIN study_header t ON s.study = t.id"),
    ]
    .join(" UNION ALL ")
}

pub(super) fn duplicates() -> String {
    let files = defined_view(View::Files);
    let expression = |name: &str| &files.column(name).expect("a column of view files").expression;
    format!(
        "SELECT role, domain, uid, study, series, source, path, size, same_content, sharing FROM (\
         SELECT CASE WHEN f.is_primary THEN 'shown' ELSE 'copy' END AS role, t.domain AS domain, \
         {} AS uid, t.\"StudyInstanceUID\" AS study, s.\"SeriesInstanceUID\" AS series, {} AS source, {} AS path, \
         f.size AS size, CASE WHEN f.is_primary THEN NULL WHEN f.digest = first_value(f.digest) OVER instance \
         THEN 'yes' WHEN f.digest IS NULL THEN NULL ELSE 'no' END AS same_content, \
         count(*) FILTER (WHERE f.is_primary) OVER (PARTITION BY f.sop_instance_uid) AS sharing, \
         count(*) OVER (PARTITION BY f.sop_instance_uid) AS files \
         FROM file f JOIN stack_header k ON f.stack = k.id JOIN series_header s ON k.series = s.id \
         JOIN study_header t ON s.study = t.id JOIN directory d ON f.directory = d.id \
         JOIN source r ON d.source = r.id \
         WHERE f.sop_instance_uid IN (SELECT sop_instance_uid FROM file WHERE twin > 0) \
         WINDOW instance AS (PARTITION BY f.sop_instance_uid, t.domain, t.\"StudyInstanceUID\", \
         s.\"SeriesInstanceUID\" ORDER BY f.is_primary DESC) \
         ORDER BY f.sop_instance_uid, t.domain, study, series, f.is_primary DESC, source, path) WHERE files > 1",
        expression("SOPInstanceUID"),
        expression("source"),
        expression("path"),
    )
}

#[cfg(test)]
mod tests {
    use shardex_seams::ShardPart;

    use super::*;
    use crate::schema::SHARD;

    #[test]
    fn every_report_is_valid_and_as_wide_as_it_says() {
        let connection = Connection::open_in_memory().expect("memory");
        SHARD.migrations.iter().for_each(|step| connection.execute_batch(&step()).expect("valid DDL"));
        let reports = [
            (ShardPart::Dates { today: String::new() }, dates()),
            (ShardPart::SplitStudies, split_studies()),
            (ShardPart::Duplicates, duplicates()),
        ];
        for (part, sql) in reports {
            assert_eq!(connection.prepare(&sql).expect("valid").column_count(), part.width(), "{part:?}");
        }
    }
}
