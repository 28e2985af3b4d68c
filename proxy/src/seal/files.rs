//! Reading keys and certificates.

use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use pdw_auth::KEY_FILE_MAX;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use super::LoadError;
use crate::plain_file;

/// Bytes of a file above which it is taken for some other file than one of certificates; those of all authorities of a
/// machine are less than one MiB.
const CERTIFICATES_MAX: u64 = 16 << 20;

/// Others may do something with it.
const OTHERS: u32 = 0o077;

/// A chain of certificates, the end's own first.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, LoadError> {
    let bytes = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) => Err(content(path, "has no certificate in it: give a PEM file with -----BEGIN CERTIFICATE-----")),
        Err(error) => Err(content(path, &format!("is no PEM file of certificates ({error})"))),
    }
}

/// Certificates that are trusted.
pub(super) fn authorities(path: &Path) -> Result<RootCertStore, LoadError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(path)? {
        store
            .add(certificate)
            .map_err(|error| content(path, &format!("has a certificate in it that cannot be trusted ({error})")))?;
    }
    Ok(store)
}

/// A certificate's key.
pub(super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, LoadError> {
    PrivateKeyDer::from_pem_slice(&secret(path)?).map_err(|error| {
        content(path, &format!("has no private key in it ({error}): give a PEM file without a password"))
    })
}

/// The bytes of a file that nobody else may read.
fn secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, LoadError> {
    let (bytes, mode) = secret_file(path)?;
    if mode & OTHERS != 0 {
        return Err(LoadError::Open(path.display().to_string()));
    }
    Ok(bytes)
}

/// The bytes and the mode of a file with a secret in it, which are wiped when they are dropped.
pub(super) fn secret_file(path: &Path) -> Result<(Zeroizing<Vec<u8>>, u32), LoadError> {
    let mut file = plain_file::open(path, u64::MAX).map_err(|source| unreadable(path, source))?;
    let mode = file.metadata().map_err(|source| unreadable(path, source))?.mode();
    // With room for more than there is: a buffer that grew would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_FILE_MAX + 1));
    let read = Read::by_ref(&mut file).take(KEY_FILE_MAX as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|source| unreadable(path, source))?;
    Ok((bytes, mode))
}

fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    let mut bytes = Vec::new();
    let read = plain_file::open(path, CERTIFICATES_MAX).and_then(|mut file| file.read_to_end(&mut bytes));
    read.map_err(|source| unreadable(path, source))?;
    Ok(bytes)
}

fn unreadable(path: &Path, source: std::io::Error) -> LoadError {
    LoadError::Read { file: path.display().to_string(), source }
}

/// Something is wrong with what is in a file.
pub(super) fn content(path: &Path, what: &str) -> LoadError {
    LoadError::Content { file: path.display().to_string(), what: what.to_owned() }
}
