//! The sources of an archive.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use shardex_catalog::{Domain, SourceName};
use shardex_seams::{Expect, StateStore, Swap};

use crate::error::Error;
use crate::identity::Identity;
use crate::specification::{SourceSpecification, default_name};

const PREFIX: &str = "source/";
const PAGE: u32 = 256;

/// A source of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredSource {
    /// Its name.
    pub name: SourceName,
    /// Its domain.
    pub domain: Domain,
    /// Its root, canonical.
    pub root: PathBuf,
    /// Files of some size without a block on disk are stubs of a hierarchical storage manager.
    pub holds_stubs: bool,
    identity: Identity,
    version: Option<u64>,
}

/// A source taken for a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The source.
    pub source: RegisteredSource,
    /// Its root is not what it was: nothing may be deleted.
    pub identity_changed: bool,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    domain: String,
    /// Bytes, because a path need not be text.
    root: Vec<u8>,
    identity: Identity,
    #[serde(default)]
    holds_stubs: bool,
}

/// The sources that an archive knows, by name.
///
/// # Errors
/// [`Error`] if the state cannot be read.
pub async fn known_sources(state: &dyn StateStore) -> Result<Vec<RegisteredSource>, Error> {
    let mut sources = Vec::new();
    let mut after = PREFIX.to_owned();
    loop {
        let page = state.list(PREFIX, &after, PAGE).await?;
        let Some((last, _)) = page.last() else { return Ok(sources) };
        after.clone_from(last);
        for (key, versioned) in page {
            let damaged = |detail: String| Error::Damaged(format!("{key}: {detail}"));
            let stored: Stored =
                serde_json::from_slice(&versioned.value).map_err(|error| damaged(error.to_string()))?;
            let name = key.strip_prefix(PREFIX).unwrap_or_default();
            sources.push(RegisteredSource {
                name: SourceName::new(name).map_err(|error| damaged(error.to_string()))?,
                domain: Domain::new(&stored.domain).map_err(|error| damaged(error.to_string()))?,
                root: PathBuf::from(OsString::from_vec(stored.root)),
                holds_stubs: stored.holds_stubs,
                identity: stored.identity,
                version: Some(versioned.version),
            });
        }
    }
}

/// Takes sources for a job: known ones by their root, new ones under a name. `rebind` lets a known
/// name move to another root.
///
/// # Errors
/// [`Error`] says which source cannot be taken, and what to do.
pub async fn register(
    state: &dyn StateStore,
    specifications: &[SourceSpecification],
    default_domain: Option<&Domain>,
    rebind: bool,
) -> Result<Vec<Registration>, Error> {
    let mut taken = agree(&known_sources(state).await?, specifications, default_domain, rebind)?;
    for registration in &mut taken {
        store(state, registration).await?;
    }
    Ok(taken)
}

/// What [`register`] would take of an archive that knows these sources; nothing is written.
///
/// # Errors
/// [`Error`] says which source cannot be taken, and what to do.
pub fn agree(
    known: &[RegisteredSource],
    specifications: &[SourceSpecification],
    default_domain: Option<&Domain>,
    rebind: bool,
) -> Result<Vec<Registration>, Error> {
    let mut taken: Vec<Registration> = Vec::new();
    for specification in specifications {
        let root = canonical_directory(Path::new(&specification.path))?;
        let identity = Identity::of(&root).map_err(|source| Error::Path { path: root.clone(), source })?;
        let domain = specification.domain.as_ref().or(default_domain);
        let name = specification.name.as_ref();
        let registration = choose(known, &taken, name, domain, root, identity, rebind)?;
        taken.push(registration);
    }
    refuse_overlaps(known, &taken)?;
    Ok(taken)
}

/// Says of sources whether they may hold stubs of a hierarchical storage manager.
///
/// # Errors
/// [`Error`] if the state cannot be written.
pub async fn mark_stubs(
    state: &dyn StateStore,
    taken: &mut [Registration],
    holds_stubs: bool,
) -> Result<(), Error> {
    for registration in taken {
        if registration.source.holds_stubs != holds_stubs {
            registration.source.holds_stubs = holds_stubs;
            store(state, registration).await?;
        }
    }
    Ok(())
}

fn canonical_directory(path: &Path) -> Result<PathBuf, Error> {
    let failed = |source| Error::Path { path: path.to_owned(), source };
    let root = path.canonicalize().map_err(failed)?;
    if root.metadata().map_err(failed)?.is_dir() {
        Ok(root)
    } else {
        Err(Error::NotADirectory { path: root })
    }
}

/// Which source a root is. Pure.
fn choose(
    known: &[RegisteredSource],
    taken: &[Registration],
    name: Option<&SourceName>,
    domain: Option<&Domain>,
    root: PathBuf,
    identity: Identity,
    rebind: bool,
) -> Result<Registration, Error> {
    let by_root = known.iter().find(|source| source.root == root);
    let found = match name {
        Some(name) => known.iter().find(|source| source.name == *name),
        None => by_root,
    };
    if let (None, Some(known)) = (found, by_root) {
        return Err(Error::OtherName { root, known: known.name.clone() });
    }
    let is_taken = |name: &SourceName| taken.iter().any(|other| other.source.name == *name);
    let Some(found) = found else {
        let is_used = |name: &SourceName| is_taken(name) || known.iter().any(|source| source.name == *name);
        let name = name.cloned().unwrap_or_else(|| default_name(&root, is_used));
        if is_taken(&name) {
            return Err(Error::SameName(name));
        }
        let domain = domain.cloned().unwrap_or_default();
        let source = RegisteredSource { name, domain, root, holds_stubs: false, identity, version: None };
        return Ok(Registration { source, identity_changed: false });
    };
    if is_taken(&found.name) {
        return Err(Error::SameName(found.name.clone()));
    }
    if found.root != root && !rebind {
        return Err(Error::OtherRoot { name: found.name.clone(), known: found.root.clone(), given: root });
    }
    if let Some(given) = domain.filter(|given| **given != found.domain) {
        return Err(Error::OtherDomain {
            name: found.name.clone(),
            known: found.domain.to_string(),
            given: given.to_string(),
        });
    }
    let identity_changed = !found.identity.is_still(&identity) && !rebind;
    // A changed identity is kept as it was, so that every run notices it until somebody accepts it.
    let identity = if identity_changed { found.identity.clone() } else { identity };
    Ok(Registration { source: RegisteredSource { root, identity, ..found.clone() }, identity_changed })
}

fn refuse_overlaps(known: &[RegisteredSource], taken: &[Registration]) -> Result<(), Error> {
    let roots = || taken.iter().map(|registration| &registration.source);
    for one in roots() {
        for other in roots().chain(known).filter(|other| other.name != one.name) {
            let overlap = |inner: &RegisteredSource, outer: &RegisteredSource| Error::Overlap {
                inner: inner.root.clone(),
                root: outer.root.clone(),
                outer: outer.name.clone(),
            };
            if one.root.starts_with(&other.root) {
                return Err(overlap(one, other));
            }
            if other.root.starts_with(&one.root) {
                return Err(overlap(other, one));
            }
        }
    }
    Ok(())
}

async fn store(state: &dyn StateStore, registration: &mut Registration) -> Result<(), Error> {
    let source = &mut registration.source;
    let stored = Stored {
        domain: source.domain.to_string(),
        root: source.root.as_os_str().as_bytes().to_vec(),
        identity: source.identity.clone(),
        holds_stubs: source.holds_stubs,
    };
    let value = serde_json::to_vec(&stored).map_err(|error| Error::Damaged(error.to_string()))?;
    let expect = source.version.map_or(Expect::Absent, Expect::Version);
    match state.put(&format!("{PREFIX}{}", source.name), value, expect).await? {
        Swap::Done(version) => {
            source.version = Some(version);
            Ok(())
        }
        Swap::Conflict => Err(Error::Contended),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(name: &str, root: &str) -> RegisteredSource {
        RegisteredSource {
            name: SourceName::new(name).expect("a name"),
            domain: Domain::default(),
            root: root.into(),
            holds_stubs: false,
            identity: identity(1),
            version: Some(1),
        }
    }

    fn identity(file_system: u64) -> Identity {
        serde_json::from_value(serde_json::json!({ "file_system": file_system, "marker": null }))
            .expect("valid")
    }

    fn taken(name: &str, root: &str) -> Registration {
        Registration { source: source(name, root), identity_changed: false }
    }

    #[test]
    fn a_known_root_keeps_its_name() {
        let known = [source("pacs", "/data/x")];
        let chosen = choose(&known, &[], None, None, "/data/x".into(), identity(1), false).expect("known");
        assert_eq!(chosen.source.name.as_str(), "pacs");
        assert!(!chosen.identity_changed);
        let elsewhere = choose(&known, &[], None, None, "/data/x".into(), identity(2), false).expect("known");
        assert!(elsewhere.identity_changed);
    }

    #[test]
    fn a_name_is_bound_to_a_root_and_a_domain() {
        let known = [source("pacs", "/data/x")];
        let name = SourceName::new("pacs").expect("a name");
        let choose = |root: &str, domain: Option<&Domain>, rebind| {
            super::choose(&known, &[], Some(&name), domain, root.into(), identity(1), rebind)
        };
        assert!(matches!(choose("/mnt/x", None, false), Err(Error::OtherRoot { .. })));
        assert_eq!(choose("/mnt/x", None, true).expect("rebound").source.root, Path::new("/mnt/x"));
        let unknown = SourceName::new("files").expect("a name");
        let renamed = super::choose(&known, &[], Some(&unknown), None, "/data/x".into(), identity(1), false);
        assert!(matches!(renamed, Err(Error::OtherName { .. })));
        let other = Domain::new("research").expect("a name");
        assert!(matches!(choose("/data/x", Some(&other), false), Err(Error::OtherDomain { .. })));
    }

    #[test]
    fn overlaps_are_refused_both_ways() {
        let known = [source("pacs", "/data/x")];
        for root in ["/data", "/data/x/y"] {
            assert!(
                matches!(refuse_overlaps(&known, &[taken("new", root)]), Err(Error::Overlap { .. })),
                "{root}"
            );
        }
        assert!(refuse_overlaps(&known, &[taken("new", "/data/xy")]).is_ok());
        assert!(refuse_overlaps(&[], &[taken("a", "/a"), taken("b", "/a/b")]).is_err());
    }
}
