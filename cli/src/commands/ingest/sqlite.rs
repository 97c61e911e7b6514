//! `--sqlite KEY=VALUE`: the pragmas that a user may set. What would change a file's format or weaken what
//! durability rests on is refused; `docs/formats.md` lists the rest.

use anyhow::{Context, bail, ensure};
use shardex_shard_store::{SqliteSettings, Synchronous};

use super::arguments::Tuning;

/// Pragmas that take a number.
const NUMBERS: [&str; 4] = ["mmap_size", "journal_size_limit", "threads", "analysis_limit"];
/// Pragmas that take one of some words.
const WORDS: [(&str, &[&str]); 5] = [
    ("temp_store", &["DEFAULT", "FILE", "MEMORY"]),
    ("cache_spill", &["ON", "OFF"]),
    ("cell_size_check", &["ON", "OFF"]),
    ("fullfsync", &["ON", "OFF"]),
    ("checkpoint_fullfsync", &["ON", "OFF"]),
];

pub(super) fn settings(tuning: &Tuning) -> anyhow::Result<SqliteSettings> {
    let mut settings = SqliteSettings {
        cache_bytes: u64::from(tuning.cache_mib) << 20,
        open_shards: tuning.open_shards.into(),
        exclusive: tuning.single_process,
        ..SqliteSettings::default()
    };
    for pragma in &tuning.sqlite {
        let (name, value) =
            pragma.split_once('=').with_context(|| format!("--sqlite `{pragma}`: write KEY=VALUE"))?;
        set(&mut settings, &name.to_ascii_lowercase(), &value.to_ascii_uppercase())
            .with_context(|| format!("--sqlite {pragma}"))?;
    }
    Ok(settings)
}

fn set(settings: &mut SqliteSettings, name: &str, value: &str) -> anyhow::Result<()> {
    match (name, value) {
        ("page_size", _) => {
            let size = value.parse().ok().filter(|size: &u32| size.is_power_of_two() && *size <= 65_536);
            settings.page_size =
                size.filter(|size| *size >= 512).context("a power of two from 512 to 65536")?;
        }
        ("wal_autocheckpoint", _) => {
            settings.checkpoint_pages = value.parse().context("a number of pages")?
        }
        ("synchronous", "FULL") => settings.synchronous = Synchronous::Full,
        ("synchronous", "NORMAL") => settings.synchronous = Synchronous::Normal,
        ("synchronous" | "journal_mode" | "locking_mode", _) => {
            bail!("durability rests on WAL and synchronous NORMAL or FULL")
        }
        ("cache_size", _) => bail!("--cache-mib sets the page cache of all shards together"),
        (name, value) if NUMBERS.contains(&name) => {
            let number: i64 = value.parse().context("a number")?;
            settings.pragmas.push((name.to_owned(), number.to_string()));
        }
        (name, value) => {
            let known = WORDS.iter().find(|(known, _)| *known == name).with_context(unknown)?;
            ensure!(known.1.contains(&value), "one of {}", known.1.join(", "));
            settings.pragmas.push((name.to_owned(), value.to_owned()));
        }
    }
    Ok(())
}

fn unknown() -> String {
    let words = WORDS.iter().map(|(name, _)| *name);
    let names: Vec<_> =
        ["page_size", "wal_autocheckpoint", "synchronous"].into_iter().chain(NUMBERS).chain(words).collect();
    format!("no pragma that can be set; there are {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, value: &str) -> Result<SqliteSettings, String> {
        let mut settings = SqliteSettings::default();
        set(&mut settings, name, value).map_err(|error| format!("{error:#}"))?;
        Ok(settings)
    }

    #[test]
    fn what_is_safe_can_be_set() {
        assert_eq!(check("page_size", "8192").expect("valid").page_size, 8192);
        assert_eq!(check("synchronous", "FULL").expect("valid").synchronous, Synchronous::Full);
        for (name, value) in [("mmap_size", "268435456"), ("temp_store", "FILE"), ("cache_spill", "OFF")] {
            let pragmas = check(name, value).expect("valid").pragmas;
            assert_eq!(pragmas, [(name.to_owned(), value.to_owned())]);
        }
    }

    #[test]
    fn what_would_break_an_archive_is_refused() {
        for (name, value, why) in [
            ("user_version", "99", "no pragma that can be set"),
            ("application_id", "1", "no pragma that can be set"),
            ("writable_schema", "ON", "no pragma that can be set"),
            ("nonsense", "1", "there are page_size, "),
            ("journal_mode", "DELETE", "durability"),
            ("synchronous", "OFF", "durability"),
            ("page_size", "1000", "a power of two"),
            ("mmap_size", "MUCH", "a number"),
            ("temp_store", "9", "one of DEFAULT"),
            ("cache_size", "1", "--cache-mib"),
        ] {
            let text = check(name, value).expect_err(name);
            assert!(text.contains(why), "{name}: {text}");
        }
    }
}
