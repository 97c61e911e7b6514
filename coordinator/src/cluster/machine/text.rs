//! How catalog types are stored: as text, whatever bytes they have.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::Error as _;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use shardex_catalog::{Domain, RelativePath, ShardId, SourceName, Span, StoreId};

/// A name that is text.
pub(crate) trait Name: Sized {
    fn text(&self) -> &str;
    fn parse(text: &str) -> Result<Self, String>;
}

macro_rules! name {
    ($type:ident) => {
        impl Name for $type {
            fn text(&self) -> &str {
                self.as_str()
            }

            fn parse(text: &str) -> Result<Self, String> {
                Self::new(text).map_err(|error| error.to_string())
            }
        }
    };
}

name!(Domain);
name!(ShardId);
name!(SourceName);
name!(StoreId);

pub(crate) fn serialize<T: Name, S: Serializer>(name: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(name.text())
}

pub(crate) fn deserialize<'de, T: Name, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    T::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// Maps with such names as keys.
pub(crate) mod map {
    use super::*;

    pub(crate) fn serialize<K: Name, V: Serialize, S: Serializer>(
        entries: &BTreeMap<K, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(entries.len()))?;
        for (name, value) in entries {
            map.serialize_entry(name.text(), value)?;
        }
        map.end()
    }

    pub(crate) fn deserialize<'de, K, V, D>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
    where
        K: Name + Ord,
        V: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        let entries = BTreeMap::<String, V>::deserialize(deserializer)?;
        entries
            .into_iter()
            .map(|(name, value)| Ok((K::parse(&name).map_err(D::Error::custom)?, value)))
            .collect()
    }
}

/// Sets of such names.
pub(crate) mod set {
    use super::*;

    pub(crate) fn serialize<T: Name, S: Serializer>(
        names: &BTreeSet<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(names.iter().map(Name::text))
    }

    pub(crate) fn deserialize<'de, T: Name + Ord, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeSet<T>, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        names.iter().map(|name| T::parse(name).map_err(D::Error::custom)).collect()
    }
}

/// A span, with every byte of its paths as the character of that number.
#[derive(Serialize, Deserialize)]
struct StoredSpan {
    directory: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    names: Option<(String, String)>,
}

fn characters(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

fn bytes(text: &str) -> Result<Vec<u8>, &'static str> {
    text.chars().map(|c| u8::try_from(u32::from(c)).map_err(|_| "a path holds no bytes")).collect()
}

impl From<&Span> for StoredSpan {
    fn from(span: &Span) -> Self {
        let names = span.names().map(|(from, to)| (characters(from), characters(to)));
        Self { directory: characters(span.directory().as_bytes()), names }
    }
}

impl TryFrom<StoredSpan> for Span {
    type Error = &'static str;

    fn try_from(stored: StoredSpan) -> Result<Self, &'static str> {
        let directory = RelativePath::new(&bytes(&stored.directory)?);
        match stored.names {
            None => Ok(Self::whole(directory)),
            Some((from, to)) => {
                Self::range(directory, &bytes(&from)?, &bytes(&to)?).ok_or("a range holds no name")
            }
        }
    }
}

/// One span.
pub(crate) mod span {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(span: &Span, serializer: S) -> Result<S::Ok, S::Error> {
        StoredSpan::from(span).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
        Span::try_from(StoredSpan::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// Several spans.
pub(crate) mod spans {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(spans: &[Span], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(spans.iter().map(StoredSpan::from))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Span>, D::Error> {
        let stored = Vec::<StoredSpan>::deserialize(deserializer)?;
        stored.into_iter().map(|span| Span::try_from(span).map_err(D::Error::custom)).collect()
    }
}
