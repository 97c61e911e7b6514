//! Every command that asks gives the same answer of a router as of an archive on this machine.

use std::path::PathBuf;

use anyhow::Result;
use shardex_tests::{Instance, Served, Shardex, write_series};

struct Place {
    _folder: tempfile::TempDir,
    tree: PathBuf,
    shardex: Shardex,
}

/// An archive with something in every report.
fn place() -> Result<Place> {
    let folder = tempfile::tempdir()?;
    let tree = folder.path().join("tree");
    let shardex = Shardex::new(&folder.path().join("archive"))?;
    for study in 1..=4 {
        write_series(&tree.join(study.to_string()), study, study, 1, 30)?;
    }
    let write = |name: &str, instance: &Instance| std::fs::write(tree.join(name), instance.bytes());
    write("copy.dcm", &Instance::numbered(1, 1, 1, 1))?;
    write("stray.dcm", &Instance::numbered(1, 2, 1, 99).with(0x0010_0020, b"LO", "OTHER"))?;
    write("early.dcm", &Instance::numbered(8, 8, 1, 1).with(0x0008_0020, b"DA", "19000101"))?;
    write("lost.dcm", &Instance::numbered(1, 1, 1, 98).with(0x0020_000D, b"UI", ""))?;
    std::fs::write(tree.join("more.zip"), b"PK\x03\x04 and so on")?;
    let source = tree.to_string_lossy().into_owned();
    shardex.ingest(&[&source])?;
    std::fs::rename(tree.join("1/im00005.dcm"), tree.join("1/moved.dcm"))?;
    std::fs::remove_file(tree.join("2/im00005.dcm"))?;
    shardex.ingest(&[&source])?;
    Ok(Place { _folder: folder, tree, shardex })
}

#[test]
fn a_router_answers_as_the_archive_does() -> Result<()> {
    let Place { _folder, tree, shardex } = place()?;
    let served = Served::start(&shardex)?;
    let archive = shardex.archive().to_string_lossy().into_owned();
    let file = tree.join("copy.dcm").to_string_lossy().into_owned();
    for arguments in [
        &["sql", "SELECT PatientID, count(*) AS n FROM instances GROUP BY 1 ORDER BY 1"][..],
        &["files", "--state", "quarantined"],
        &["files", "--state", "deleted", "--json"],
        &["search", "studies", "PatientID=PAT0001"],
        &["tree", "PAT0001"],
        &["tree", "2.25.1000002", "--files", "--json"],
        &["show", "2.25.1000002"],
        &["show", "2.25.1000002", "--json"],
        &["report", "conflicts"],
        &["report", "duplicates"],
        &["report", "duplicates", "--only", "copy", "--limit", "1", "--json"],
        &["report", "moves"],
        &["report", "deletions", "--format", "csv"],
        &["report", "dates"],
        &["report", "split-studies"],
        &["report", "unreadable"],
        &["summary"],
        &["summary", "--json", "--exact"],
        &["summary", "--all"],
        &["status"],
        &["status", "--json"],
    ] {
        let near = shardex.run(&[arguments, &["--archive", &archive]].concat())?;
        let far = shardex.run(&[arguments, &["--router", served.url()]].concat())?;
        // Findings name the command that lists them, with the place that was asked.
        let near_out = near.out.replace(&format!("--archive {archive}"), "PLACE");
        let far_out = far.out.replace(&format!("--router {}", served.url()), "PLACE");
        assert_eq!((near.code, &near_out), (far.code, &far_out), "{arguments:?}: {}", far.err);
        assert_eq!(near.code, Some(0), "{arguments:?}: {}", near.err);
        assert!(
            near.out.lines().count() > 1 || arguments.contains(&"unreadable"),
            "{arguments:?}: {}",
            near.out
        );
    }
    for path in ["copy.dcm", file.as_str(), "lost.dcm"] {
        let far = shardex.run(&["show", path, "--json", "--router", served.url()])?;
        let near = shardex.run(&["show", path, "--json", "--archive", &archive])?;
        // The ledger of this machine also tells what could be read of a file in quarantine.
        assert!(near.out == far.out || path == "lost.dcm", "{path}: {} {}", near.out, far.out);
        let state = if path == "lost.dcm" { "quarantined" } else { "indexed" };
        assert!(far.out.contains(&format!("\"state\": \"{state}\"")), "{path}: {} {}", far.out, far.err);
    }
    assert_eq!(shardex.run(&["show", "nothing.dcm", "--router", served.url()])?.code, Some(1));
    Ok(())
}

/// A UID may be no such as it should be, a file may be named by one, and several sources may have one path.
#[test]
fn what_is_shown_is_what_was_named() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let shardex = Shardex::new(&folder.path().join("archive"))?;
    let sources = ["one", "two"].map(|name| folder.path().join(name));
    for (n, source) in (1..).zip(&sources) {
        std::fs::create_dir(source)?;
        std::fs::write(source.join("1.2.3"), Instance::numbered(n, n, 1, 1).bytes())?;
    }
    let odd = Instance::numbered(3, 3, 1, 1).with(0x0020_000D, b"UI", "ab12");
    std::fs::write(sources[0].join("odd.dcm"), odd.bytes())?;
    let texts = sources.each_ref().map(|source| source.to_string_lossy().into_owned());
    shardex.ingest(&[&texts[0], &texts[1]])?;
    let archive = shardex.archive().to_string_lossy().into_owned();
    let served = Served::start(&shardex)?;
    let of_one = format!("{}/1.2.3", texts[0]);
    for (what, patients) in
        [("ab12", &["PAT0003"][..]), (of_one.as_str(), &["PAT0001"]), ("1.2.3", &["PAT0001", "PAT0002"])]
    {
        for place in [["--archive", &archive], ["--router", served.url()]] {
            let answer = shardex.run(&[&["show", what, "--json"][..], &place].concat())?;
            let shown = |patient: &u32| answer.out.contains(&format!("PAT{patient:04}"));
            let found: Vec<_> = (1..=3).filter(shown).map(|n| format!("PAT{n:04}")).collect();
            assert_eq!(found, patients, "{what} {place:?}: {}", answer.err);
        }
    }
    Ok(())
}

#[test]
fn reports_of_several_archives_follow_each_other() -> Result<()> {
    let (one, other) = (place()?, place()?);
    let of = |place: &Place| place.shardex.archive().to_string_lossy().into_owned();
    let both = ["report", "dates", "--format", "csv", "-a", &of(&one), "-a", &of(&other)];
    let answer = one.shardex.run(&both)?;
    assert_eq!(answer.out.lines().count(), 3, "{} {}", answer.out, answer.err);
    assert!(answer.out.starts_with("archive,problem,") && answer.out.contains(&of(&other)), "{}", answer.out);
    let summary = one.shardex.run(&["summary", "-a", &of(&one), "-a", &of(&other)])?;
    assert!(summary.code == Some(2) && summary.err.contains("give one --archive"), "{}", summary.err);
    Ok(())
}
