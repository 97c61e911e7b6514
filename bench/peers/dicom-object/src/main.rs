//! The obvious Rust program: `bench-dicom-object TREE ARCHIVE [THREADS]`.
//!
//! Each file is opened by dicom-object's high-level API up to the pixel data, 45 attributes are taken, and rows go to
//! shardex's own shard store, a shard a year, in batches of 5,000. No ledger, no registry, no second run.

use std::collections::HashMap;
use std::error::Error;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use dicom_dictionary_std::tags;
use dicom_object::{OpenFileOptions, Tag};
use shardex_catalog::{
    ATTRIBUTES, AttributeId, ColumnType, DirectoryRange, Domain, Fence, FileName, FileRow, FileStamp, Header,
    Level, Operation, RelativePath, RowBatch, ShardId, SourceName, Value, Values, Warnings,
    attribute_by_keyword,
};
use shardex_seams::ShardWriter;
use shardex_shard_store::{Archive, ArchiveSettings, ShardPool, SourceRoots};

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

const BATCH_ROWS: usize = 5000;
const BATCHES_A_BARRIER: usize = 20;
/// Directories read ahead of the writer, as (year, directory, rows).
const QUEUE: usize = 16;

type Rows = (String, RelativePath, Vec<FileRow>);

/// An attribute, and where dicom-object has it.
fn attributes() -> Result<Vec<(AttributeId, Tag)>> {
    let mut wanted = Vec::new();
    for line in include_str!("../../attributes.tsv").lines() {
        let (tag, keyword) = line.split_once('\t').ok_or("attributes.tsv")?;
        let (group, element) = tag.split_once(',').ok_or("attributes.tsv")?;
        let id = attribute_by_keyword(keyword).ok_or("attributes.tsv names an unknown keyword")?;
        wanted.push((id, Tag(u16::from_str_radix(group, 16)?, u16::from_str_radix(element, 16)?)));
    }
    Ok(wanted)
}

fn value(id: AttributeId, text: &str) -> Option<Value> {
    let text = text.trim_matches([' ', '\0']);
    match ATTRIBUTES[id.index()].column {
        _ if text.is_empty() => None,
        ColumnType::Integer => text.parse().ok().map(Value::Integer),
        ColumnType::Real => text.parse().ok().map(Value::Real),
        ColumnType::Text | ColumnType::Items => Some(Value::Text(text.into())),
    }
}

/// One file's row and its year.
fn read(path: &Path, wanted: &[(AttributeId, Tag)]) -> Result<(String, FileRow)> {
    let object = OpenFileOptions::new().read_until(tags::PIXEL_DATA).open_file(path)?;
    let mut levels: [Vec<(AttributeId, Value)>; 4] = Default::default();
    let (mut instance, mut year) = (String::new(), "undated".to_owned());
    for (id, tag) in wanted {
        let Some(element) = object.element_opt(*tag)? else { continue };
        let text = element.to_str()?;
        if *tag == tags::SOP_INSTANCE_UID {
            text.trim_end_matches('\0').clone_into(&mut instance);
            continue;
        }
        if *tag == tags::STUDY_DATE && text.len() >= 4 {
            text[..4].clone_into(&mut year);
        }
        let at = match ATTRIBUTES[id.index()].level {
            Level::Study => 0,
            Level::Series => 1,
            Level::Stack => 2,
            Level::File => 3,
        };
        levels[at].extend(value(*id, &text).map(|value| (*id, value)));
    }
    let syntax = object.meta().transfer_syntax().trim_end_matches('\0');
    let syntax_id = attribute_by_keyword("TransferSyntaxUID").ok_or("no TransferSyntaxUID")?;
    levels[2].push((syntax_id, syntax.into()));
    let [study, series, stack, file] = levels.map(|entries| Values::new(entries, Vec::new()));
    let study = Header::study(Domain::default(), study);
    let series = Header::below(&study, series);
    let stat = std::fs::metadata(path)?;
    let row = FileRow {
        name: FileName::new(path.file_name().ok_or("a name")?.as_bytes()),
        stamp: FileStamp {
            size: stat.size(),
            mtime_ns: stat.mtime() * 1_000_000_000 + stat.mtime_nsec(),
            ctime_ns: stat.ctime() * 1_000_000_000 + stat.ctime_nsec(),
        },
        digest: None,
        warnings: Warnings::default(),
        sop_instance_uid: instance.into(),
        stack: Header::below(&series, stack),
        values: file,
    };
    Ok((year, row))
}

/// All directories of a tree, and their files.
fn walk(folder: &Path, found: &mut Vec<(PathBuf, Vec<PathBuf>)>) -> Result<()> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            walk(&entry.path(), found)?;
        } else {
            files.push(entry.path());
        }
    }
    if !files.is_empty() {
        found.push((folder.to_owned(), files));
    }
    Ok(())
}

fn reader(root: &Path, folders: &Mutex<Vec<(PathBuf, Vec<PathBuf>)>>, to: SyncSender<Rows>) -> Result<()> {
    let wanted = attributes()?;
    loop {
        let next = folders.lock().map_err(|_| "a reader panicked")?.pop();
        let Some((folder, files)) = next else { return Ok(()) };
        let path = RelativePath::new(folder.strip_prefix(root)?.as_os_str().as_bytes());
        let mut years: HashMap<String, Vec<FileRow>> = HashMap::new();
        for file in files {
            let (year, row) = read(&file, &wanted)?;
            let rows = years.entry(year.clone()).or_default();
            rows.push(row);
            if rows.len() == BATCH_ROWS {
                to.send((year, path.clone(), std::mem::take(rows)))?;
            }
        }
        for (year, rows) in years {
            to.send((year, path.clone(), rows))?;
        }
    }
}

/// Rows of a shard that wait.
#[derive(Default)]
struct Waiting {
    directories: Vec<DirectoryRange>,
    operations: Vec<Operation>,
}

async fn write(pool: &ShardPool, source: &SourceName, from: Receiver<Rows>) -> Result<u64> {
    let mut shards: HashMap<ShardId, Waiting> = HashMap::new();
    let (mut files, mut batches) = (0, 0);
    for (year, path, rows) in from {
        files += rows.len() as u64;
        let shard = ShardId::new(&format!("{year}-aaaaaaaa/0"))?;
        let waiting = shards.entry(shard.clone()).or_default();
        let directory = u32::try_from(waiting.directories.len())?;
        waiting.directories.push(DirectoryRange::whole(source.clone(), path));
        waiting.operations.extend(rows.into_iter().map(|row| Operation::Upsert { directory, row }));
        if waiting.operations.len() >= BATCH_ROWS {
            apply(pool, shard, std::mem::take(waiting)).await?;
            batches += 1;
            if batches % BATCHES_A_BARRIER == 0 {
                for shard in shards.keys() {
                    pool.barrier(shard.clone()).await?;
                }
            }
        }
    }
    for (shard, waiting) in shards {
        if !waiting.operations.is_empty() {
            apply(pool, shard.clone(), waiting).await?;
        }
        pool.barrier(shard).await?;
    }
    Ok(files)
}

async fn apply(pool: &ShardPool, shard: ShardId, waiting: Waiting) -> Result<()> {
    let Waiting { directories, operations } = waiting;
    pool.apply(RowBatch { shard, fence: Fence(1), directories, operations }).await?;
    Ok(())
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: bench-dicom-object TREE ARCHIVE [THREADS]";
    let root = PathBuf::from(arguments.next().ok_or(usage)?);
    let archive = PathBuf::from(arguments.next().ok_or(usage)?);
    let threads: usize = arguments.next().map_or(Ok(2), |count| count.parse())?;
    let archive = Archive::create_or_open(&archive, &ArchiveSettings::default())?;
    let source = SourceName::new("tree")?;
    let roots = SourceRoots::new([(source.clone(), root.as_os_str().as_bytes().to_vec())]);
    let pool: Arc<ShardPool> = archive.shards(threads, roots)?;
    let mut folders = Vec::new();
    walk(&root, &mut folders)?;
    let folders = Mutex::new(folders);
    let (to, from) = sync_channel(QUEUE);
    let files = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..threads)
            .map(|_| {
                let to = to.clone();
                scope.spawn(|| reader(&root, &folders, to))
            })
            .collect();
        drop(to);
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let files = runtime.block_on(async {
            let files = write(&pool, &source, from).await?;
            archive.truncate_logs(&pool).await?;
            Ok::<_, Box<dyn Error + Send + Sync>>(files)
        });
        for reader in readers {
            reader.join().map_err(|_| "a reader panicked")??;
        }
        files
    })?;
    println!("{{\"files\": {files}}}");
    Ok(())
}
