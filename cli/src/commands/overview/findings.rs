//! Counts that a data manager can act on, each with the command that lists what was counted.

use shardex_shard_store::overview::HEADERS_OF_SERIES_MAX;

use super::facts::Facts;

/// One thing that deserves a look.
#[derive(Debug)]
pub(super) struct Finding {
    /// Name for machines.
    pub(super) name: &'static str,
    /// How many.
    pub(super) count: u64,
    /// What was counted, to be read before the number.
    pub(super) what: String,
    /// The command that lists it.
    pub(super) command: String,
}

/// What deserves a look, the gravest first; nothing of which there is none.
pub(super) fn of(facts: &Facts) -> Vec<Finding> {
    let listed = |(name, count, what, command): (&'static str, u64, String, String)| Finding {
        name,
        count,
        what,
        command: format!("shardex {command} {}", facts.place),
    };
    let all = of_files(facts).into_iter().chain(of_studies(facts)).chain(of_rest(facts));
    all.filter(|(_, count, ..)| *count > 0).map(listed).collect()
}

type Listed = (&'static str, u64, String, String);

fn of_files(facts: &Facts) -> Vec<Listed> {
    let seen = &facts.seen;
    let kinds: Vec<_> = seen.not_opened().map(|(kind, count)| format!("{kind} {count}")).collect();
    let names: Vec<_> = seen.not_opened().map(|(kind, _)| format!("'{kind}'")).collect();
    vec![
        (
            "quarantined",
            seen.states.get("quarantined").copied().unwrap_or(0),
            "files that could not be indexed".to_owned(),
            "files --state quarantined".to_owned(),
        ),
        (
            "unreadable_directories",
            seen.unreadable_directories,
            "directories that could not be listed; what is in them is not known".to_owned(),
            "report unreadable".to_owned(),
        ),
        (
            "missing",
            seen.missing,
            "indexed files that are gone from their source, their deletion is held".to_owned(),
            "report deletions --only missing".to_owned(),
        ),
        (
            "archives_not_opened",
            seen.not_opened().map(|(_, count)| count).sum(),
            format!("archives not opened ({}), which may hold DICOM files", kinds.join(", ")),
            format!(
                "sql \"SELECT source, path, size, kind FROM files WHERE kind IN ({})\"",
                names.join(", ")
            ),
        ),
    ]
}

fn of_studies(facts: &Facts) -> Vec<Listed> {
    let findings = &facts.overview.findings;
    let split = |keyword: &str| format!("report split-studies --only {keyword}");
    let dates = |problem: &str| format!("report dates --only {problem}");
    vec![
        (
            "several_patients",
            findings.several_patients,
            "studies whose files name several patients".to_owned(),
            split("PatientID"),
        ),
        (
            "without_patient_id",
            findings.without_patient_id,
            "studies with files without a patient id".to_owned(),
            "sql \"SELECT DISTINCT domain, StudyInstanceUID FROM instances WHERE PatientID IS NULL\""
                .to_owned(),
        ),
        (
            "several_dates",
            findings.several_dates,
            "studies whose files disagree on the study date".to_owned(),
            split("StudyDate"),
        ),
        (
            "several_institutions",
            findings.several_institutions,
            "studies whose series name several institutions".to_owned(),
            split("InstitutionName"),
        ),
        ("undated", findings.undated, "studies without a date".to_owned(), dates("undated")),
        ("early", findings.early, "studies dated before 1970".to_owned(), dates("early")),
        ("future", findings.future, "studies dated in the future".to_owned(), dates("future")),
        (
            "series_before_study",
            findings.series_before_study,
            "studies with a series dated before the study".to_owned(),
            dates("series_before_study"),
        ),
        (
            "before_birth",
            findings.before_birth,
            "studies dated before the patient's birth".to_owned(),
            dates("before_birth"),
        ),
    ]
}

fn of_rest(facts: &Facts) -> Vec<Listed> {
    let findings = &facts.overview.findings;
    vec![
        (
            "series_in_several_studies",
            findings.series_in_several_studies,
            "series UIDs that occur in several studies".to_owned(),
            "sql \"SELECT SeriesInstanceUID, count(*) AS studies FROM series GROUP BY domain, 1 \
             HAVING count(*) > 1\""
                .to_owned(),
        ),
        (
            "shared_sop_instance_uids",
            findings.shared_sop_instance_uids,
            "SOP Instance UIDs that several instances share".to_owned(),
            "sql \"SELECT SOPInstanceUID, count(*) AS instances FROM instances GROUP BY domain, 1 \
             HAVING count(*) > 1\""
                .to_owned(),
        ),
        (
            "copies",
            findings.copies,
            "files that are further copies of an instance".to_owned(),
            "report duplicates --only copy".to_owned(),
        ),
        (
            "varied_series",
            findings.varied_series,
            format!(
                "series with more than {HEADERS_OF_SERIES_MAX} headers: they take more room than they should"
            ),
            format!(
                "sql \"SELECT SeriesInstanceUID, Modality, Manufacturer, headers FROM series \
                 WHERE headers > {HEADERS_OF_SERIES_MAX} ORDER BY headers DESC\""
            ),
        ),
    ]
}
