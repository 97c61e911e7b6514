//! The common name in a certificate.
//!
//! Only certificates that TLS has verified come here, so this reads the one field that is wanted,
//! by DER's own lengths (X.690), and checks nothing else.

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
const VERSION: u8 = 0xA0;
/// 2.5.4.3
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const LENGTH_MAX: usize = 200;

/// The subject's common name (RFC 5280 section 4.1.2.6), printable; without one, the beginning of
/// the certificate's digest.
pub(super) fn subject(certificate: &[u8]) -> String {
    common_name(certificate).filter(|name| !name.is_empty()).unwrap_or_else(|| {
        let digest = blake3::hash(certificate).to_hex();
        format!("certificate-{}", &digest.as_str()[..16])
    })
}

fn common_name(certificate: &[u8]) -> Option<String> {
    let mut signed = Der(Der(certificate).expect(SEQUENCE)?);
    let mut fields = Der(signed.expect(SEQUENCE)?);
    if fields.0.first() == Some(&VERSION) {
        fields.next()?;
    }
    // Serial number, signature algorithm, issuer, validity.
    for _ in 0..4 {
        fields.next()?;
    }
    let mut names = Der(fields.expect(SEQUENCE)?);
    while let Some((SET, set)) = names.next() {
        let mut pair = Der(Der(set).expect(SEQUENCE)?);
        if pair.expect(OBJECT_IDENTIFIER)? == COMMON_NAME {
            let (_, text) = pair.next()?;
            let text = String::from_utf8_lossy(text);
            return Some(text.chars().filter(|c| !c.is_control()).take(LENGTH_MAX).collect());
        }
    }
    None
}

/// What is left of some DER values.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The next value with its tag.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7F => (usize::from(first), rest),
            // Four bytes of length are enough for any certificate; 0x80 is not DER.
            0x81..=0x84 => {
                let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7F))?;
                (digits.iter().fold(0_usize, |sum, digit| sum << 8 | usize::from(*digit)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, content)| content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(name: &str) -> Vec<u8> {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut parameters = rcgen::CertificateParams::new(vec!["x".to_owned()]).expect("parameters");
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        parameters.distinguished_name.push(rcgen::DnType::OrganizationName, "Org");
        if !name.is_empty() {
            parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
        }
        parameters.self_signed(&key).expect("a certificate").der().to_vec()
    }

    #[test]
    fn the_common_name_is_found() {
        assert_eq!(subject(&certificate("router-1")), "router-1");
        assert_eq!(subject(&certificate("Müller\u{7}")), "Müller");
        assert!(subject(&certificate("")).starts_with("certificate-"));
    }

    #[test]
    fn damaged_certificates_crash_nothing() {
        let whole = certificate("router-1");
        for length in 0..whole.len() {
            subject(&whole[..length]);
        }
        for at in 0..whole.len() {
            let mut bent = whole.clone();
            bent[at] = 0xFF;
            subject(&bent);
        }
    }
}
