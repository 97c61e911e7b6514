//! An account as bytes: a mark, a digest of all that follows, the stamp, and the columns. Lengths and numbers are 8 and
//! 16 bytes, little endian.

use super::values::Values;
use super::{Account, Stamp};

/// Ends with the version of the format.
const MARK: &[u8; 8] = b"shardxa1";
const DIGEST: usize = 16;

pub(super) fn encode(account: &Account) -> Vec<u8> {
    let mut body = Vec::new();
    number(&mut body, account.stamp.bytes);
    body.extend_from_slice(&account.stamp.mtime_ns.to_le_bytes());
    number(&mut body, account.columns.len() as u64);
    for (keyword, values) in &account.columns {
        bytes(&mut body, keyword.as_bytes());
        match values {
            Values::Few(all) => {
                number(&mut body, all.len() as u64);
                all.iter().for_each(|value| bytes(&mut body, value.as_bytes()));
            }
            Values::Many { least, greatest, bits } => {
                number(&mut body, u64::MAX);
                [least.as_bytes(), greatest.as_bytes(), bits]
                    .into_iter()
                    .for_each(|part| bytes(&mut body, part));
            }
        }
    }
    [&MARK[..], &blake3::hash(&body).as_bytes()[..DIGEST], &body].concat()
}

fn number(to: &mut Vec<u8>, number: u64) {
    to.extend_from_slice(&number.to_le_bytes());
}

fn bytes(to: &mut Vec<u8>, part: &[u8]) {
    number(to, part.len() as u64);
    to.extend_from_slice(part);
}

/// `None` for what is no account, whole and of this version.
pub(super) fn decode(account: &[u8]) -> Option<Account> {
    let (digest, body) = account.strip_prefix(MARK)?.split_at_checked(DIGEST)?;
    if blake3::hash(body).as_bytes()[..DIGEST] != *digest {
        return None;
    }
    let mut rest = Rest(body);
    let stamp = Stamp { bytes: rest.number()?, mtime_ns: i128::from_le_bytes(rest.array()?) };
    let columns = (0..rest.number()?).map(|_| Some((rest.text()?, rest.values()?))).collect::<Option<_>>()?;
    rest.0.is_empty().then_some(Account { stamp, columns })
}

struct Rest<'b>(&'b [u8]);

impl<'b> Rest<'b> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    fn number(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn bytes(&mut self) -> Option<&'b [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (part, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(part)
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.to_vec()).ok()
    }

    fn values(&mut self) -> Option<Values> {
        match self.number()? {
            u64::MAX => {
                let (least, greatest) = (self.text()?, self.text()?);
                Some(Values::Many { least, greatest, bits: self.bytes()?.to_vec() })
            }
            count => (0..count).map(|_| self.text()).collect::<Option<_>>().map(Values::Few),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_come_back_as_they_were() {
        let few = Values::Few(vec!["CT".to_owned(), "MR".to_owned()]);
        let many = Values::Many { least: "a".to_owned(), greatest: "z".to_owned(), bits: vec![1, 2, 3] };
        let columns = vec![("Modality".to_owned(), few), ("PatientID".to_owned(), many)];
        let account = Account { stamp: Stamp { bytes: 7, mtime_ns: -8 }, columns };
        let encoded = encode(&account);
        assert_eq!(decode(&encoded), Some(account));
        assert!((0..encoded.len()).all(|length| decode(&encoded[..length]).is_none()));
    }
}
