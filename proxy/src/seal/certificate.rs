//! The names in a certificate that rustls has verified: its subject's common name (RFC 5280, 4.1.2.6), and the
//! alternative ones (4.2.1.6).

/// Object identifier 2.5.4.3, common name, as it is encoded.
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];
/// Object identifier 2.5.29.17, subject alternative name.
const ALTERNATIVE_NAME: [u8; 3] = [0x55, 0x1d, 0x11];
/// Tags of DER (X.690, 8.1.2).
const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const OBJECT: u8 = 0x06;
const UTF8: u8 = 0x0c;
const PRINTABLE: u8 = 0x13;
const IA5: u8 = 0x16;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
/// Alternative names that are texts: mail addresses, names of hosts, URIs.
const TEXTS: [u8; 3] = [0x81, 0x82, 0x86];

/// The common name of a certificate's subject, if it has one that is a text of at least one character without control
/// characters. With several the last, which is the most specific.
pub(super) fn common_name(certificate: &[u8]) -> Option<String> {
    let mut subject = Der(from_subject(certificate)?.value(SEQUENCE)?);
    let mut name = None;
    while let Some(part) = subject.value(SET) {
        let mut part = Der(part);
        while let Some(attribute) = part.value(SEQUENCE) {
            name = text(attribute).or(name);
        }
    }
    name.filter(|name| is_name(name))
}

/// The subject's alternative names that are texts, in their order: mail addresses, names of hosts, URIs.
pub(super) fn alternative_names(certificate: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    let mut listed = alternative(certificate).unwrap_or(Der(&[]));
    while let Some((tag, value)) = listed.next() {
        let text = std::str::from_utf8(value).ok().filter(|text| TEXTS.contains(&tag) && is_name(text));
        names.extend(text.map(str::to_owned));
    }
    names
}

/// The extension with the alternative names.
fn alternative(certificate: &[u8]) -> Option<Der<'_>> {
    let mut rest = from_subject(certificate)?;
    rest.value(SEQUENCE)?; // the subject
    rest.value(SEQUENCE)?; // its public key
    while rest.0.first() != Some(&EXTENSIONS) {
        rest.next()?; // identifiers that are out of use
    }
    let mut extensions = Der(Der(rest.value(EXTENSIONS)?).value(SEQUENCE)?);
    while let Some(extension) = extensions.value(SEQUENCE) {
        let mut extension = Der(extension);
        if extension.value(OBJECT)? == ALTERNATIVE_NAME {
            extension.value(BOOLEAN); // whether it is critical
            return Some(Der(Der(extension.value(OCTETS)?).value(SEQUENCE)?));
        }
    }
    None
}

/// What there is of a certificate from its subject on.
fn from_subject(certificate: &[u8]) -> Option<Der<'_>> {
    let mut outer = Der(Der(certificate).value(SEQUENCE)?);
    let mut body = Der(outer.value(SEQUENCE)?);
    if body.0.first() == Some(&VERSION) {
        body.value(VERSION)?;
    }
    body.value(INTEGER)?; // the serial number
    body.value(SEQUENCE)?; // the signature's algorithm
    body.value(SEQUENCE)?; // the issuer
    body.value(SEQUENCE)?; // the validity
    Some(body)
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(char::is_control)
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
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

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
    fn alternative_names_are_found_in_their_order_and_addresses_left_out() {
        let mut params = CertificateParams::new(vec!["a.example".to_owned(), "10.0.0.1".to_owned()]).unwrap();
        let text = |text: &str| text.try_into().unwrap();
        params.subject_alt_names.push(SanType::URI(text("spiffe://centre/job-17")));
        params.subject_alt_names.push(SanType::Rfc822Name(text("job-17@centre.example")));
        let whole = params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec();
        assert_eq!(alternative_names(&whole), ["a.example", "spiffe://centre/job-17", "job-17@centre.example"]);
        let without = CertificateParams::default().self_signed(&KeyPair::generate().unwrap()).unwrap();
        assert_eq!(alternative_names(without.der()), Vec::<String>::new());
    }

    #[test]
    fn whatever_is_cut_or_flipped_is_no_trouble() {
        let whole = certificate(Some("job-17"));
        for at in 0..whole.len() {
            let _ = (common_name(&whole[..at]), alternative_names(&whole[..at]));
            let mut flipped = whole.clone();
            flipped[at] ^= 0xff;
            let _ = (common_name(&flipped), alternative_names(&flipped));
        }
    }
}
