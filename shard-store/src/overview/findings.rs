//! What in a shard deserves a data manager's look, as counts.

use rusqlite::{Connection, params};

/// Headers of one series above which its attributes vary as those of slices do.
pub const HEADERS_OF_SERIES_MAX: u64 = 16;

/// Counts of what deserves a look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Studies without StudyDate.
    pub undated: u64,
    /// Studies dated before 1970.
    pub early: u64,
    /// Studies dated after today.
    pub future: u64,
    /// Studies with a series dated before the study.
    pub series_before_study: u64,
    /// Studies dated before the patient's birth.
    pub before_birth: u64,
    /// Studies whose files name several patients.
    pub several_patients: u64,
    /// Studies whose files name several StudyDates.
    pub several_dates: u64,
    /// Studies whose files name several InstitutionNames.
    pub several_institutions: u64,
    /// Studies with files without a PatientID.
    pub without_patient_id: u64,
    /// SeriesInstanceUIDs in several studies of one domain.
    pub series_in_several_studies: u64,
    /// SOPInstanceUIDs that several live instances of one shard share.
    pub shared_sop_instance_uids: u64,
    /// Files that are further copies of an instance.
    pub copies: u64,
    /// Series with more headers than [`HEADERS_OF_SERIES_MAX`].
    pub varied_series: u64,
}

impl Findings {
    pub(super) fn add(&mut self, other: &Self) {
        let Self {
            undated,
            early,
            future,
            series_before_study,
            before_birth,
            several_patients,
            several_dates,
            several_institutions,
            without_patient_id,
            series_in_several_studies,
            shared_sop_instance_uids,
            copies,
            varied_series,
        } = other;
        self.undated += undated;
        self.early += early;
        self.future += future;
        self.series_before_study += series_before_study;
        self.before_birth += before_birth;
        self.several_patients += several_patients;
        self.several_dates += several_dates;
        self.several_institutions += several_institutions;
        self.without_patient_id += without_patient_id;
        self.series_in_several_studies += series_in_several_studies;
        self.shared_sop_instance_uids += shared_sop_instance_uids;
        self.copies += copies;
        self.varied_series += varied_series;
    }
}

const OF_STUDIES: &str = "WITH study AS (
    SELECT count(DISTINCT \"PatientID\") AS patients, count(DISTINCT \"StudyDate\") AS dates,
           max(\"PatientID\" IS NULL) AS lacks_id, min(\"StudyDate\") AS first, max(\"StudyDate\") AS last,
           max(\"PatientBirthDate\" > \"StudyDate\") AS unborn
    FROM study_header WHERE n_live > 0 GROUP BY domain, \"StudyInstanceUID\")
  SELECT count(*) FILTER (WHERE first IS NULL), count(*) FILTER (WHERE first < '19700101'),
         count(*) FILTER (WHERE last > ?1), count(*) FILTER (WHERE unborn),
         count(*) FILTER (WHERE patients > 1), count(*) FILTER (WHERE dates > 1),
         count(*) FILTER (WHERE lacks_id)
  FROM study";

const OF_SERIES: &str = "WITH study AS (
    SELECT count(DISTINCT s.\"InstitutionName\") AS sites, max(s.\"SeriesDate\" < t.\"StudyDate\") AS is_before
    FROM series_header s JOIN study_header t ON s.study = t.id WHERE s.n_live > 0
    GROUP BY t.domain, t.\"StudyInstanceUID\")
  SELECT count(*) FILTER (WHERE sites > 1), count(*) FILTER (WHERE is_before) FROM study";

const OF_STACKS: &str = "SELECT count(*) FROM (
    SELECT 1 FROM stack_header k JOIN series_header s ON k.series = s.id JOIN study_header t ON s.study = t.id
    WHERE k.n_live > 0 GROUP BY t.domain, t.\"StudyInstanceUID\", s.\"SeriesInstanceUID\"
    HAVING count(*) > ?1)";

/// Twins are few: a partial index lists those that are not the first of their UID.
const OF_TWINS: &str = "SELECT count(*) FROM (
    SELECT 1 FROM file WHERE is_primary AND sop_instance_uid IN (SELECT sop_instance_uid FROM file WHERE twin > 0)
    GROUP BY sop_instance_uid HAVING count(*) > 1)";

pub(super) fn of_shard(connection: &Connection, today: &str) -> rusqlite::Result<Findings> {
    let mut findings = Findings::default();
    connection.query_row(OF_STUDIES, [today], |row| {
        findings.undated = row.get(0)?;
        findings.early = row.get(1)?;
        findings.future = row.get(2)?;
        findings.before_birth = row.get(3)?;
        findings.several_patients = row.get(4)?;
        findings.several_dates = row.get(5)?;
        findings.without_patient_id = row.get(6)?;
        Ok(())
    })?;
    connection.query_row(OF_SERIES, [], |row| {
        findings.several_institutions = row.get(0)?;
        findings.series_before_study = row.get(1)?;
        Ok(())
    })?;
    findings.varied_series = varied_series(connection, HEADERS_OF_SERIES_MAX)?;
    findings.shared_sop_instance_uids = connection.query_row(OF_TWINS, [], |row| row.get(0))?;
    findings.copies =
        connection
            .query_row("SELECT coalesce(sum(n_files - n_live), 0) FROM study_header", [], |row| row.get(0))?;
    Ok(findings)
}

/// Series with more headers than this.
pub(super) fn varied_series(connection: &Connection, headers_max: u64) -> rusqlite::Result<u64> {
    connection.query_row(OF_STACKS, params![headers_max.cast_signed()], |row| row.get(0))
}
