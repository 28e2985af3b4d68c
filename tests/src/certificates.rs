//! Certificates for tests: an authority and what it signs, in PEM files.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use tempfile::TempDir;

/// An authority with a folder of its own.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: TempDir,
}

/// A certificate's file and its key's.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key, which only this user can read.
    pub key: PathBuf,
}

impl Authority {
    /// A new authority.
    ///
    /// # Errors
    /// When its folder cannot be made.
    pub fn new() -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("pdw-certificates-").tempdir()?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, format!("authority {}", folder.path().display()));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let own = params.self_signed(&key).map_err(io::Error::other)?;
        fs::write(folder.path().join("ca.pem"), own.pem())?;
        Ok(Self { issuer: Issuer::new(params, key), folder })
    }

    /// Its own certificate.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Where its files are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Signs a certificate that is valid, with this common name, for these names and addresses.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn sign(&self, file: &str, name: &str, hosts: &[&str]) -> io::Result<Pair> {
        self.sign_until(file, name, hosts, 2099)
    }

    /// The same, valid until the beginning of a year.
    ///
    /// # Errors
    /// As [`Authority::sign`].
    pub fn sign_until(&self, file: &str, name: &str, hosts: &[&str], year: i32) -> io::Result<Pair> {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).map_err(io::Error::other)?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        (params.not_before, params.not_after) = (date_time_ymd(2019, 1, 1), date_time_ymd(year, 1, 1));
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(io::Error::other)?;
        let pair = Pair {
            certificate: self.folder.path().join(format!("{file}.pem")),
            key: self.folder.path().join(format!("{file}.key")),
        };
        fs::write(&pair.certificate, certificate.pem())?;
        secret(&pair.key, key.serialize_pem().as_bytes())?;
        Ok(pair)
    }
}

/// Writes a file that only this user can read.
///
/// # Errors
/// When it cannot be written.
pub fn secret(path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::write(path, bytes)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
}
