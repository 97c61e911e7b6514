//! Stubs of a hierarchical storage manager, as sparse files without a block.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use shardex_tests::{Instance, Shardex, write_series};

/// A file of this size that has no content on disk, changed last at a fixed time.
fn release(path: &Path, size: u64) -> Result<()> {
    let file = File::create(path)?;
    file.set_len(size)?;
    Ok(file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_500_000_000))?)
}

/// Puts the content back, as a recall does: nothing but the blocks changes.
fn recall(path: &Path, content: &[u8]) -> Result<()> {
    std::fs::write(path, content)?;
    let file = File::options().write(true).open(path)?;
    Ok(file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_500_000_000))?)
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
fn stubs_are_not_opened_until_they_are_recalled() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let tree = folder.path().join("tree");
    write_series(&tree, 1, 1, 1, 10)?;
    let content = Instance::numbered(1, 1, 1, 99).bytes();
    let stub = tree.join("stub.dcm");
    release(&stub, content.len() as u64)?;
    if stub.metadata()?.blocks() > 0 {
        eprintln!("SKIPPED: 1 test, this file system gives sparse files blocks");
        return Ok(());
    }
    let shardex = Shardex::new(&folder.path().join("archive"))?;
    let tree = tree.to_string_lossy().into_owned();

    let first = shardex.ingest(&[&tree, "--offline-stubs"])?;
    assert_eq!(
        (&first["states"]["offline"], &first["states"]["indexed"]),
        (&1.into(), &10.into()),
        "{first}"
    );
    assert_eq!(first["opened"], 10, "{first}");
    let listed = shardex.run(&["files", "--state", "offline", "--format", "paths"])?;
    assert!(listed.out.trim().ends_with("stub.dcm"), "{}", listed.out);

    // The source stays opted in.
    let second = shardex.ingest(&[&tree])?;
    assert_eq!(second["states"]["offline"], 1, "{second}");
    assert!(second["opened"].as_u64().is_some_and(|opened| opened <= 10), "{second}");

    recall(&stub, &content)?;
    let third = shardex.ingest(&[&tree])?;
    assert_eq!(
        (&third["states"]["indexed"], &third["states"]["offline"]),
        (&11.into(), &serde_json::Value::Null),
        "{third}"
    );

    // What goes to tape again stays in the index.
    release(&stub, content.len() as u64)?;
    let fourth = shardex.ingest(&[&tree])?;
    assert_eq!(fourth["states"]["indexed"], 11, "{fourth}");
    let rows = shardex.sql("SELECT count(*) FROM instances")?;
    assert_eq!(rows, [["11"]]);

    // Asked to, it is read: a hole is no DICOM.
    let recalled = shardex.ingest(&[&tree, "--recall"])?;
    assert_eq!(recalled["states"]["not_dicom"], 1, "{recalled}");
    Ok(())
}
