//! Content-addressed headers: equal values have equal digests, whatever file they came from.

use std::sync::Arc;

use crate::{ATTRIBUTES, AttributeId, Domain, HeaderDigest, Level, Value};

/// The non-NULL values of one level of one file, ascending by attribute.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Values {
    entries: Vec<(AttributeId, Value)>,
    odd: Vec<(AttributeId, Box<str>)>,
}

impl Values {
    /// Values from entries in any order; the first entry of an attribute counts.
    #[must_use]
    pub fn new(mut entries: Vec<(AttributeId, Value)>, mut odd: Vec<(AttributeId, Box<str>)>) -> Self {
        entries.sort_by_key(|(id, _)| *id);
        entries.dedup_by_key(|(id, _)| *id);
        odd.sort_by_key(|(id, _)| *id);
        odd.dedup_by_key(|(id, _)| *id);
        Self { entries, odd }
    }

    /// The value of an attribute, `None` for NULL.
    #[must_use]
    pub fn get(&self, id: AttributeId) -> Option<&Value> {
        let at = self.entries.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        Some(&self.entries[at].1)
    }

    /// The text of an attribute, `None` for NULL and for numbers.
    #[must_use]
    pub fn text(&self, id: AttributeId) -> Option<&str> {
        self.get(id).and_then(Value::as_text)
    }

    /// All values, ascending by attribute.
    #[must_use]
    pub fn entries(&self) -> &[(AttributeId, Value)] {
        &self.entries
    }

    /// Raw texts that do not fit their column's type, ascending by attribute.
    #[must_use]
    pub fn odd(&self) -> &[(AttributeId, Box<str>)] {
        &self.odd
    }

    /// The odd values as one JSON object (keyword to raw text), `None` where there are none.
    #[must_use]
    pub fn odd_json(&self) -> Option<String> {
        if self.odd.is_empty() {
            return None;
        }
        let mut json = String::from("{");
        for (n, (id, raw)) in self.odd.iter().enumerate() {
            if n > 0 {
                json.push(',');
            }
            json.push('"');
            json.push_str(ATTRIBUTES[id.index()].keyword);
            json.push_str("\":");
            push_json_string(&mut json, raw);
        }
        json.push('}');
        Some(json)
    }

    /// Rough size in memory, bytes.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let text = |value: &Value| value.as_text().map_or(0, str::len);
        self.entries.capacity() * size_of::<(AttributeId, Value)>()
            + self.entries.iter().map(|(_, value)| text(value)).sum::<usize>()
            + self.odd.iter().map(|(_, raw)| raw.len() + 24).sum::<usize>()
    }

    fn hash_into(&self, hasher: &mut blake3::Hasher) {
        for (id, value) in &self.entries {
            hash_part(hasher, b'k', ATTRIBUTES[id.index()].keyword.as_bytes());
            match value {
                Value::Text(text) => hash_part(hasher, b't', text.as_bytes()),
                Value::Integer(number) => hash_part(hasher, b'i', &number.to_le_bytes()),
                // SQLite keeps no negative zero; the sum of both zeros is the positive one.
                Value::Real(number) => hash_part(hasher, b'r', &(number + 0.0).to_bits().to_le_bytes()),
            }
        }
        for (id, raw) in &self.odd {
            hash_part(hasher, b'o', ATTRIBUTES[id.index()].keyword.as_bytes());
            hash_part(hasher, b't', raw.as_bytes());
        }
    }
}

/// One header row: the values of a level, and the header one level above.
///
/// The digest covers the parent's digest, so one key names the values of a level and of all above.
#[derive(Debug)]
pub struct Header {
    level: Level,
    digest: HeaderDigest,
    domain: Domain,
    parent: Option<Arc<Header>>,
    values: Values,
}

impl Header {
    /// A study header. Headers of different domains are different.
    #[must_use]
    pub fn study(domain: Domain, values: Values) -> Arc<Self> {
        let digest = digest(Level::Study, domain.as_str().as_bytes(), &values);
        Arc::new(Self { level: Level::Study, digest, domain, parent: None, values })
    }

    /// A series or stack header below `parent`.
    ///
    /// # Panics
    /// If `parent` is not of the level above: a programming error that would corrupt rows.
    #[must_use]
    pub fn below(parent: &Arc<Self>, values: Values) -> Arc<Self> {
        let level = match parent.level {
            Level::Study => Level::Series,
            Level::Series => Level::Stack,
            Level::Stack | Level::File => panic!("no header stands below a stack header"),
        };
        let digest = digest(level, &parent.digest.0, &values);
        let domain = parent.domain.clone();
        Arc::new(Self { level, digest, domain, parent: Some(Arc::clone(parent)), values })
    }

    /// The level of the header.
    #[must_use]
    pub fn level(&self) -> Level {
        self.level
    }

    /// The content address.
    #[must_use]
    pub fn digest(&self) -> HeaderDigest {
        self.digest
    }

    /// The domain in which the UIDs and patient ids of this header mean one thing.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The header one level above; `None` for a study header.
    #[must_use]
    pub fn parent(&self) -> Option<&Arc<Self>> {
        self.parent.as_ref()
    }

    /// The values of this level.
    #[must_use]
    pub fn values(&self) -> &Values {
        &self.values
    }
}

fn digest(level: Level, parent: &[u8], values: &Values) -> HeaderDigest {
    let mut hasher = blake3::Hasher::new();
    let tag = match level {
        Level::Study => b'1',
        Level::Series => b'2',
        Level::Stack => b'3',
        Level::File => b'4',
    };
    hash_part(&mut hasher, tag, parent);
    values.hash_into(&mut hasher);
    let mut short = [0; 16];
    short.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    HeaderDigest(short)
}

/// Type-tagged and length-prefixed, so that no two lists of values share their bytes.
fn hash_part(hasher: &mut blake3::Hasher, tag: u8, bytes: &[u8]) {
    let mut prefix = [tag; 9];
    prefix[1..].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
    hasher.update(&prefix);
    hasher.update(bytes);
}

fn push_json_string(json: &mut String, text: &str) {
    json.push('"');
    for c in text.chars() {
        match c {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            c if c.is_control() => json.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => json.push(c),
        }
    }
    json.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Values {
        Values::new(vec![(AttributeId(0), Value::from(text))], Vec::new())
    }

    fn domain(name: &str) -> Domain {
        Domain::new(name).expect("a valid name")
    }

    #[test]
    fn digest_follows_content_domain_and_parent() {
        let study = Header::study(domain("a"), values("x"));
        assert_eq!(study.digest(), Header::study(domain("a"), values("x")).digest());
        assert_ne!(study.digest(), Header::study(domain("b"), values("x")).digest());
        assert_ne!(study.digest(), Header::study(domain("a"), values("y")).digest());
        let other = Header::study(domain("a"), values("y"));
        assert_ne!(Header::below(&study, values("s")).digest(), Header::below(&other, values("s")).digest());
    }

    #[test]
    fn a_number_and_its_text_are_different_values() {
        let number = Values::new(vec![(AttributeId(0), Value::Integer(0x3131_3131_3131_3131))], Vec::new());
        assert_ne!(
            Header::study(domain("a"), number).digest(),
            Header::study(domain("a"), values("11111111")).digest()
        );
    }

    #[test]
    fn zeros_are_one_value() {
        let real = |number| Values::new(vec![(AttributeId(0), Value::Real(number))], Vec::new());
        let digest = |number| Header::study(domain("a"), real(number)).digest();
        assert_eq!(digest(-0.0), digest(0.0));
        assert_ne!(digest(1.0), digest(-1.0));
    }

    #[test]
    fn odd_values_are_json() {
        let odd = Values::new(Vec::new(), vec![(AttributeId(0), "a\"\\\u{1}".into())]);
        let keyword = ATTRIBUTES[0].keyword;
        assert_eq!(odd.odd_json().as_deref(), Some(&*format!("{{\"{keyword}\":\"a\\\"\\\\\\u0001\"}}")));
    }
}
