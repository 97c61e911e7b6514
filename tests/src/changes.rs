//! A tree that changes as trees do.

use std::path::Path;

use anyhow::Result;

use crate::{Instance, Random, write_series};

/// Writes 24 series of 60 files each: `p0/s0` to `p3/s23`.
///
/// # Errors
/// If it cannot be written.
pub fn write_tree(root: &Path) -> Result<()> {
    for n in 0..24 {
        write_series(&root.join(format!("p{}/s{n}", n % 4)), n % 4, n / 3, n, 60)?;
    }
    Ok(())
}

/// Adds, changes, moves, copies and deletes a few files of such a tree; `step` tells one change from
/// the others.
///
/// # Errors
/// If it cannot be written.
pub fn change_tree(root: &Path, random: &mut Random, step: u32) -> Result<()> {
    let series = |n: usize| root.join(format!("p{}/s{n}", n % 4));
    for _ in 0..6 {
        let n = random.below(24);
        let folder = series(n);
        let file = folder.join(format!("im{:05}.dcm", 1 + random.below(60)));
        match random.below(6) {
            // Another instance in the place of a file, perhaps of another study.
            0 if file.exists() => {
                let number = u32::try_from(random.below(9))?;
                std::fs::write(&file, Instance::numbered(90 + number, 900 + step, 1, number).bytes())?;
            }
            1 if file.exists() => std::fs::remove_file(&file)?,
            2 if file.exists() => {
                std::fs::create_dir_all(root.join("moved"))?;
                std::fs::rename(&file, root.join(format!("moved/{step}-{n}-{}.dcm", random.next())))?;
            }
            3 => write_series(&root.join(format!("new{step}-{n}")), 50, 500 + step, u32::try_from(n)?, 12)?,
            4 if file.exists() => std::fs::write(&file, b"no longer DICOM")?,
            5 if file.exists() => {
                std::fs::create_dir_all(root.join("copies"))?;
                std::fs::copy(&file, root.join(format!("copies/{step}-{n}.dcm")))?;
            }
            _ => {}
        }
    }
    Ok(())
}
