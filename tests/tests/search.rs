//! `shardex search`, on the built binary.

use std::path::PathBuf;

use anyhow::{Context, Result};
use shardex_tests::{Answer, Instance, Served, Shardex};

const PATIENT_NAME: u32 = 0x0010_0010;
const PATIENT_ID: u32 = 0x0010_0020;
const PATIENT_SEX: u32 = 0x0010_0040;
const ACCESSION_NUMBER: u32 = 0x0008_0050;
const MODALITY: u32 = 0x0008_0060;
const IMAGE_TYPE: u32 = 0x0008_0008;
const STUDY_TIME: u32 = 0x0008_0030;
const CHARACTER_SET: u32 = 0x0008_0005;

/// Patients 1 to 6 with two studies each, in several years and so in several shards.
struct Place {
    folder: tempfile::TempDir,
    tree: PathBuf,
    shardex: Shardex,
}

impl Place {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let tree = folder.path().join("tree");
        std::fs::create_dir(&tree)?;
        let place =
            Self { shardex: Shardex::new(&folder.path().join("archive"))?, folder, tree: tree.clone() };
        for patient in 1..=6_u32 {
            for study in [patient, patient + 10] {
                for number in 1..=2 {
                    let instance = Instance::numbered(patient, study, 1, number)
                        .with(ACCESSION_NUMBER, b"SH", &format!("ACC{study:03}"))
                        .with(PATIENT_SEX, b"CS", if patient % 2 == 0 { "F" } else { "M" })
                        .with(STUDY_TIME, b"TM", &format!("{:02}30", 6 + study))
                        .with(MODALITY, b"CS", if study > 10 { "PT" } else { "CT" })
                        .with(IMAGE_TYPE, b"CS", if number == 1 { "ORIGINAL\\PRIMARY" } else { "DERIVED" });
                    place.write(&format!("{study}-{number}.dcm"), &instance)?;
                }
            }
        }
        Ok(place)
    }

    fn write(&self, name: &str, instance: &Instance) -> Result<()> {
        Ok(std::fs::write(self.tree.join(name), instance.bytes())?)
    }

    fn ingest(&self) -> Result<()> {
        let summary = self.shardex.ingest(&[&self.tree.to_string_lossy()])?;
        anyhow::ensure!(summary["ended"] == "complete", "{summary}");
        Ok(())
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> Result<String> {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content)?;
        Ok(path.to_string_lossy().into_owned())
    }

    fn search(&self, arguments: &[&str]) -> Result<Answer> {
        self.shardex.run(&[&["search"], arguments].concat())
    }

    /// One column of what is found, joined by blanks.
    fn found(&self, arguments: &[&str], column: &str) -> Result<String> {
        let answer = self.search(&[arguments, &["--columns", column, "--format", "csv"]].concat())?;
        anyhow::ensure!(answer.code == Some(0), "{arguments:?}: {}", answer.err);
        Ok(answer.out.lines().skip(1).collect::<Vec<_>>().join(" "))
    }

    fn refused(&self, arguments: &[&str]) -> Result<String> {
        let answer = self.search(arguments)?;
        anyhow::ensure!(answer.code == Some(2) && answer.out.is_empty(), "{arguments:?}: {answer:?}");
        Ok(answer.err)
    }
}

#[test]
fn values_wildcards_ranges_and_names_find_studies() -> Result<()> {
    let place = Place::new()?;
    let odd = Instance::numbered(9, 38, 1, 1)
        .with(PATIENT_NAME, b"PN", "Müller^Jörg")
        .with(CHARACTER_SET, b"CS", "ISO_IR 192")
        .with(STUDY_TIME, b"TM", "");
    place.write("odd.dcm", &odd)?;
    let blank = Instance::numbered(8, 39, 1, 1)
        .with(PATIENT_NAME, b"PN", "  Blank ^ Name ")
        .with(PATIENT_SEX, b"CS", "M")
        .with(STUDY_TIME, b"TM", "2300");
    place.write("blank.dcm", &blank)?;
    place.ingest()?;
    assert_eq!(place.found(&["studies", "PatientName=blank^name"], "PatientID")?, "PAT0008");
    for (keys, expected) in [
        (&["AccessionNumber=ACC003"][..], "ACC003"),
        (&["accession_number=ACC003\\ACC011"], "ACC003 ACC011"),
        (&["AccessionNumber=ACC00?", "PatientSex=F"], "ACC002 ACC004 ACC006"),
        (&["AccessionNumber=*1*"], "ACC001 ACC011 ACC012 ACC013 ACC014 ACC015 ACC016"),
        (&["AccessionNumber=acc003"], ""),
        (&["(0008,0050)=ACC01*", "StudyDate=2011-2012"], "ACC011 ACC012"),
        (&["StudyDate=201103"], "ACC011"),
        (&["StudyDate=-20110315"], "ACC001 ACC011"),
        (&["StudyTime=0730-08", "Modality=CT"], "ACC001 ACC002"),
        (&["PatientName=test^pat0004"], "ACC004 ACC014"),
        (&["PatientName=TEST^*6", "Modality=PT"], "ACC016"),
        (&["ModalitiesInStudy=PT", "PatientID=PAT0002"], "ACC012"),
        (&["ImageType=PRIMARY", "PatientID=PAT0002"], "ACC002 ACC012"),
        (&["ImageType=PRIM*\\x", "InstanceNumber=2"], ""),
        (&["InstanceNumber=2", "PatientID=PAT0001"], "ACC001 ACC011"),
        (&["StudyInstanceUID=2.25.1000003,2.25.1000014"], "ACC003 ACC014"),
        (&["SOPInstanceUID=2.25.300000300100002"], "ACC003"),
    ] {
        assert_eq!(place.found(&[&["studies"], keys].concat(), "AccessionNumber")?, expected, "{keys:?}");
    }
    for keys in [&["PatientName=muller"][..], &["StudyTime="], &["AccessionNumber=", "PatientSex="]] {
        assert_eq!(place.found(&[&["studies"], keys].concat(), "PatientID")?, "PAT0009", "{keys:?}");
    }
    Ok(())
}

#[test]
fn order_limit_count_and_columns() -> Result<()> {
    let place = Place::new()?;
    place.ingest()?;
    let sorted =
        place.found(&["studies", "--sort", "-StudyDate,AccessionNumber", "--limit", "3"], "StudyDate")?;
    assert_eq!(sorted, "20160815 20160715 20150715");
    let first = place.found(&["instances", "--limit", "2"], "SOPInstanceUID")?;
    assert_eq!(first, "2.25.300000100100001 2.25.300000100100002");
    for (arguments, expected) in [
        (&["studies"][..], "12"),
        (&["series", "Modality=PT"], "6"),
        (&["instances"], "24"),
        (&["instances", "ImageType=DERIVED", "PatientSex=M"], "6"),
        (&["patients"], "6"),
        (&["patients", "Modality=PT", "PatientSex=F"], "3"),
        (&["patients", "StudyDate=1999"], "0"),
    ] {
        let answer = place.search(&[arguments, &["--count", "--format", "csv"]].concat())?;
        assert_eq!(answer.out, format!("count\n{expected}\n"), "{arguments:?}: {}", answer.err);
    }
    let answer = place.search(&["studies", "--columns", "*", "--limit", "1", "--format", "jsonl"])?;
    let row: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&answer.out)?;
    assert_eq!(row["NumberOfStudyRelatedInstances"], 2);
    assert!(row.len() > 40, "{}", row.len());
    Ok(())
}

/// As many alternatives as a key may have are still one statement.
#[test]
fn many_alternatives_are_one_search() -> Result<()> {
    let place = Place::new()?;
    place.ingest()?;
    let patterns = |count: usize| (0..count).map(|n| format!("*RIM{n}*")).collect::<Vec<_>>().join("\\");
    for keyword in ["ImageType", "AccessionNumber"] {
        let key = format!("{keyword}={}\\*C003\\*IMAR*", patterns(490));
        let found = place.found(&["studies", &key, "PatientID=PAT0003"], "AccessionNumber")?;
        assert_eq!(found, if keyword == "ImageType" { "ACC003 ACC013" } else { "ACC003" });
    }
    assert!(place.refused(&["studies", &format!("ImageType={}", patterns(501))])?.contains("more than 500"));
    Ok(())
}

/// Both studies of a patient lie in shards of their own; either finds the whole patient.
#[test]
fn patients_are_whole_wherever_they_match() -> Result<()> {
    let place = Place::new()?;
    for study in [40, 41] {
        place.write(
            &format!("none{study}.dcm"),
            &Instance::numbered(0, study, 1, 1).with(PATIENT_ID, b"LO", ""),
        )?;
    }
    place.ingest()?;
    for key in ["AccessionNumber=ACC002", "AccessionNumber=ACC012", "PatientID=PAT0002"] {
        let columns = "NumberOfPatientRelatedStudies,NumberOfPatientRelatedInstances";
        assert_eq!(place.found(&["patients", key], columns)?, "2,4", "{key}");
    }
    // Without an id, a patient is one study.
    assert_eq!(place.found(&["patients", "PatientID="], "NumberOfPatientRelatedStudies")?, "1 1");
    assert_eq!(place.found(&["patients", "StudyInstanceUID=2.25.1000040"], "PatientName")?, "Test^PAT0000");
    Ok(())
}

#[test]
fn cohorts_are_read_from_lists() -> Result<()> {
    let place = Place::new()?;
    place.ingest()?;
    let mut list = String::from("\u{feff}name,\"Accession Number\"\r\n");
    list.extend((0..3000).map(|n| format!("\"Doe, {n}\",ACC{:03}\r\n", 3 + n)));
    let list = place.file("cohort.csv", list)?;
    let key = format!("AccessionNumber=@{list}");
    let expected = "ACC003 ACC004 ACC005 ACC006 ACC011 ACC012 ACC013 ACC014 ACC015 ACC016";
    assert_eq!(place.found(&["studies", &key], "AccessionNumber")?, expected);
    let paths = place.search(&["studies", &key, "Modality=PT", "--format", "paths"])?;
    assert_eq!(paths.out.lines().count(), 12, "{paths:?}");
    assert!(paths.out.lines().all(|path| std::path::Path::new(path).is_file()));
    let uids = place.file("uids.csv", "2.25.300000300100002\n2.25.300000400100001\nno-uid\n")?;
    let key = format!("SOPInstanceUID=@{uids}");
    assert_eq!(place.found(&["instances", &key], "AccessionNumber")?, "ACC003 ACC004");
    let names = place.file("names.csv", "TEST^PAT0001\nNobody\n")?;
    let key = format!("PatientName=@{names}");
    assert_eq!(place.found(&["studies", &key], "AccessionNumber")?, "ACC001 ACC011");
    for (content, expected) in [("a,b\n1,2\n", "names none of them"), ("", "holds no values")] {
        let list = place.file("wrong.csv", content)?;
        let answer = place.search(&["studies", &format!("AccessionNumber=@{list}")])?;
        assert!(answer.code == Some(1) && answer.err.contains(expected), "{answer:?}");
    }
    Ok(())
}

#[test]
fn mistakes_are_answered_with_what_to_write() -> Result<()> {
    let place = Place::new()?;
    place.ingest()?;
    for (arguments, expected) in [
        (&["studies", "PatientNam=x"][..], "did you mean PatientName"),
        (&["studies", "StudyDate=yesterday"], "`yesterday` is no date: write 20190131"),
        (&["studies", "StudyDate=2020-2019"], "ends before it begins"),
        (&["studies", "SeriesInstanceUID=1.2*"], "has a wildcard"),
        (&["series", "SeriesNumber=1-3"], "is no number"),
        (&["studies", "Modality=CT", "Modality=PT"], "is given twice"),
        (&["studies", "Modality"], "is no KEY=VALUE"),
        (&["studies", "--sort", "Frobnicated"], "is no column of `studies`"),
        (&["patients", "--format", "paths"], "search studies"),
    ] {
        let error = place.refused(arguments)?;
        assert!(error.contains(expected), "{arguments:?}: {error}");
    }
    Ok(())
}

#[test]
fn several_archives_follow_each_other() -> Result<()> {
    let place = Place::new()?;
    place.ingest()?;
    let archive = place.shardex.archive().to_string_lossy().into_owned();
    let both = ["-a", &archive, "-a", &archive, "--format", "csv"];
    let answer = place
        .search(&[&["studies", "AccessionNumber=ACC003", "--columns", "PatientID"], &both[..]].concat())?;
    assert_eq!(answer.out, format!("archive,PatientID\n{archive},PAT0003\n{archive},PAT0003\n"));
    let answer =
        place.search(&[&["studies", "--limit", "13", "--columns", "PatientID"], &both[..]].concat())?;
    assert_eq!(answer.out.lines().count(), 14);
    let answer = place.search(&[&["studies", "--count"], &both[..]].concat())?;
    assert_eq!(answer.out, format!("archive,count\n{archive},12\n{archive},12\n"));
    let answer = place.shardex.run(&[&["sql", "SELECT count(*) AS n FROM studies"], &both[..]].concat())?;
    assert_eq!(answer.out, format!("archive,n\n{archive},12\n{archive},12\n"));
    Ok(())
}

#[test]
fn statements_join_lists() -> Result<()> {
    let place = Place::new()?;
    place.ingest()?;
    let list = place
        .file("cohort.csv", "acc,Arm\r\nACC003,a\r\nACC014,b\r\nACC004,b\r\n,c\r\nACC999,\"d, e\"\r\n")?;
    let with = format!("cohort={list}");
    let counted =
        "SELECT arm, count(*) FROM studies JOIN cohort ON AccessionNumber = acc GROUP BY arm ORDER BY 1";
    let missing = "SELECT acc FROM cohort LEFT JOIN studies ON AccessionNumber = acc \
                   WHERE StudyInstanceUID IS NULL AND acc IS NOT NULL";
    let within = "SELECT count(*) FROM instances WHERE AccessionNumber IN (SELECT acc FROM cohort)";
    let without =
        "SELECT count(*) FROM studies WHERE AccessionNumber NOT IN (SELECT acc FROM cohort WHERE acc <> '')";
    for (statement, expected) in
        [(counted, "a,1\nb,2\n"), (missing, "ACC999\n"), (within, "6\n"), (without, "9\n")]
    {
        let answer = place.shardex.run(&["sql", statement, "--with", &with, "--format", "csv"])?;
        let rows = answer.out.split_once('\n').map(|(_, rows)| rows);
        assert_eq!(rows, Some(expected), "{statement}: {}", answer.err);
    }
    for (with, expected) in [
        (format!("studies={list}"), "a table of this name"),
        ("cohort".to_owned(), "no NAME=FILE"),
        ("cohort=/nowhere.csv".to_owned(), "cannot be opened"),
    ] {
        let answer = place.shardex.run(&["sql", within, "--with", &with])?;
        assert!(answer.code == Some(1) && answer.err.contains(expected), "{answer:?}");
    }
    let answer = place.shardex.run(&["sql", "DELETE FROM cohort", "--with", &with])?;
    assert!(answer.code == Some(1) && answer.err.contains("only one SELECT"), "{answer:?}");
    Ok(())
}

#[test]
fn a_broken_shard_fails_a_search_unless_it_may_be_partial() -> Result<()> {
    let place = Place::new()?;
    place.ingest()?;
    let archive = place.shardex.archive();
    let shard = std::fs::read_dir(archive.join("shards"))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.to_string_lossy().contains("2011"))
        .context("a shard of 2011")?;
    std::fs::write(shard.join("0.sqlite"), vec![b'x'; 8192])?;
    for level in ["studies", "patients"] {
        let failed = place.search(&[level])?;
        assert!(failed.code == Some(1) && failed.err.contains("2011"), "{failed:?}");
        let partial = place.search(&[level, "--allow-partial", "--count", "--format", "csv"])?;
        // Studies 1 and 11 are lost, and with them patient 1.
        let expected = if level == "studies" { "count\n10\n" } else { "count\n5\n" };
        assert_eq!((partial.code, &*partial.out), (Some(5), expected), "{level}: {}", partial.err);
        assert!(partial.err.contains("partial answer"), "{partial:?}");
    }
    // Who asks for what lies elsewhere has to know, too: nobody can say what the broken shard holds.
    let elsewhere = place.search(&["studies", "AccessionNumber=ACC003"])?;
    assert_eq!(elsewhere.code, Some(1), "{elsewhere:?}");
    Ok(())
}

#[test]
fn an_empty_archive_has_empty_answers() -> Result<()> {
    let place = Place::new()?;
    std::fs::remove_dir_all(&place.tree)?;
    std::fs::create_dir(&place.tree)?;
    std::fs::write(place.tree.join("note.txt"), "no DICOM")?;
    place.ingest()?;
    for level in ["patients", "studies", "series", "instances"] {
        let answer = place.search(&[level, "PatientID=x", "--format", "csv"])?;
        assert_eq!((answer.code, answer.out.lines().count()), (Some(0), 1), "{answer:?}");
        assert_eq!(place.search(&[level, "--count", "--format", "csv"])?.out, "count\n0\n", "{level}");
    }
    Ok(())
}

#[test]
fn a_server_gives_the_same_answers() -> Result<()> {
    let place = Place::new()?;
    place.ingest()?;
    let archive = place.shardex.archive().to_string_lossy().into_owned();
    let served = Served::start(&place.shardex)?;
    let url = served.url();
    let list = place.file("list.csv", "ACC003\nACC014\n")?;
    let cohort = format!("AccessionNumber=@{list}");
    for arguments in [
        &["patients", "Modality=PT", "--sort", "-PatientID"][..],
        &["studies", &cohort],
        &["series", "Modality=PT", "--count"],
        &["instances", "ImageType=PRIMARY", "--limit", "5", "--format", "paths0"],
        &["studies", "StudyDate=2011", "--format", "paths"],
    ] {
        let near = place.search(&[arguments, &["-a", &archive]].concat())?;
        let far = place.search(&[arguments, &["--router", url]].concat())?;
        assert_eq!((near.code, &near.out), (far.code, &far.out), "{arguments:?}: {}", far.err);
        assert!(!near.out.is_empty());
    }
    let list = place.file("table.csv", "acc\nACC003\nACC014\n")?;
    let statement = "SELECT acc, PatientID FROM studies JOIN mine ON acc = AccessionNumber ORDER BY 1";
    let sql = ["sql", statement, "--with", &format!("mine={list}"), "--format", "csv"];
    let far = place.shardex.run(&[&sql[..], &["--router", url]].concat())?;
    assert_eq!(far.out, "acc,PatientID\nACC003,PAT0003\nACC014,PAT0004\n", "{}", far.err);
    let far = place.search(&["studies", "PatientNam=x", "--router", url])?;
    assert!(far.code == Some(2) && far.err.contains("did you mean PatientName"), "{far:?}");
    Ok(())
}
