//! The name in a certificate that rustls has verified: its subject's common name (RFC 5280, 4.1.2.6).

/// Object identifier 2.5.4.3, common name, as it is encoded.
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];
/// Tags of DER (X.690, 8.1.2).
const INTEGER: u8 = 0x02;
const OBJECT: u8 = 0x06;
const UTF8: u8 = 0x0c;
const PRINTABLE: u8 = 0x13;
const IA5: u8 = 0x16;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const VERSION: u8 = 0xa0;

/// The common name of a certificate's subject, if it has one that is a text of at least one character without control
/// characters. With several the last, which is the most specific.
pub(super) fn common_name(certificate: &[u8]) -> Option<String> {
    let mut outer = Der(Der(certificate).value(SEQUENCE)?);
    let mut body = Der(outer.value(SEQUENCE)?);
    if body.0.first() == Some(&VERSION) {
        body.value(VERSION)?;
    }
    body.value(INTEGER)?; // the serial number
    body.value(SEQUENCE)?; // the signature's algorithm
    body.value(SEQUENCE)?; // the issuer
    body.value(SEQUENCE)?; // the validity
    let mut subject = Der(body.value(SEQUENCE)?);
    let mut name = None;
    while let Some(part) = subject.value(SET) {
        let mut part = Der(part);
        while let Some(attribute) = part.value(SEQUENCE) {
            name = text(attribute).or(name);
        }
    }
    name.filter(|name| !name.is_empty() && !name.chars().any(char::is_control))
}

/// The value of an attribute that is a common name.
fn text(attribute: &[u8]) -> Option<String> {
    let mut attribute = Der(attribute);
    if attribute.value(OBJECT)? != COMMON_NAME {
        return None;
    }
    let (tag, value) = attribute.next()?;
    let is_text = matches!(tag, UTF8 | PRINTABLE | IA5);
    std::str::from_utf8(value).ok().filter(|_| is_text).map(str::to_owned)
}

/// What is left of an encoding.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The next value's tag and contents.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&short, rest) = rest.split_first()?;
        let (len, rest) = match short {
            0..=0x7f => (usize::from(short), rest),
            0x81..=0x83 => {
                let (long, rest) = rest.split_at_checked(usize::from(short & 0x7f))?;
                (long.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(len)?;
        self.0 = rest;
        Some((tag, value))
    }

    /// The next value's contents, if it has this tag.
    fn value(&mut self, tag: u8) -> Option<&'a [u8]> {
        let before = self.0;
        match self.next() {
            Some((found, value)) if found == tag => Some(value),
            _ => {
                self.0 = before;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    fn certificate(name: Option<&str>) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["x.example".to_owned(); 20]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Centre");
        if let Some(name) = name {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn the_subjects_common_name_is_found_and_nothing_else_is_taken_for_it() {
        assert_eq!(common_name(&certificate(Some("job-17"))).as_deref(), Some("job-17"));
        assert_eq!(common_name(&certificate(Some("Zoë"))).as_deref(), Some("Zoë"));
        assert_eq!(common_name(&certificate(None)), None);
        assert_eq!(common_name(&certificate(Some("a\nb"))), None);
    }

    #[test]
    fn whatever_is_cut_or_flipped_is_no_trouble() {
        let whole = certificate(Some("job-17"));
        for at in 0..whole.len() {
            let _ = common_name(&whole[..at]);
            let mut flipped = whole.clone();
            flipped[at] ^= 0xff;
            let _ = common_name(&flipped);
        }
    }
}
