//! TLS from configuration to rustls: certificates, keys, whom to trust.

use std::path::Path;
use std::sync::Arc;

use pdw_auth::{Handshake, SealError};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{ClientConfig, ServerConfig};

use super::tls::{TlsAccept, TlsOpen};
use super::{Keys, LoadError, files};
use crate::config::{Address, NamedBy, TlsConfig};

/// TLS of a listener.
#[derive(Debug)]
pub(super) struct Accepting {
    config: Arc<ServerConfig>,
    named: Option<NamedBy>,
}

/// TLS of an upstream.
#[derive(Debug)]
pub(super) struct Opening {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Keys for Accepting {
    fn begin(&self) -> Result<Box<dyn Handshake>, SealError> {
        Ok(Box::new(TlsAccept::new(Arc::clone(&self.config), self.named)))
    }
}

impl Keys for Opening {
    fn begin(&self) -> Result<Box<dyn Handshake>, SealError> {
        Ok(Box::new(TlsOpen::new(Arc::clone(&self.config), self.name.clone())))
    }
}

/// Reads what a listener needs.
pub(super) fn accepting(tls: &TlsConfig) -> Result<Accepting, LoadError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| broken(tls, &error))?;
    let builder = match &tls.ca {
        Some(_) => builder.with_client_cert_verifier(verifier(tls, provider)?),
        None => builder.with_no_client_auth(),
    };
    let nothing =
        || files::content(Path::new("a listener with seal `tls`"), "has to have `certificate` and `key`: add them");
    let (chain, key) = own(tls)?.ok_or_else(nothing)?;
    let config = builder.with_single_cert(chain, key).map_err(|error| broken(tls, &error))?;
    Ok(Accepting { config: Arc::new(config), named: tls.named })
}

fn verifier(tls: &TlsConfig, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, LoadError> {
    let ca = tls.ca.as_deref().unwrap_or_else(|| Path::new(""));
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(files::authorities(ca)?), provider);
    let builder = if tls.anonymous { builder.allow_unauthenticated() } else { builder };
    builder.build().map_err(|error| files::content(ca, &format!("cannot be used to know clients by ({error})")))
}

/// Reads what links to an upstream need.
pub(super) fn opening(tls: &TlsConfig, address: &Address) -> Result<Opening, LoadError> {
    let ca = tls.ca.as_deref().unwrap_or_else(|| Path::new(""));
    let roots = files::authorities(ca)?;
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| broken(tls, &error))?
        .with_root_certificates(roots);
    let config = match own(tls)? {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(|error| broken(tls, &error))?,
        None => builder.with_no_client_auth(),
    };
    let name = match (&tls.server_name, address) {
        (Some(name), _) => name.clone(),
        (None, Address::Tcp { host, .. }) => host.clone(),
        (None, Address::Unix(_)) => String::new(),
    };
    let name = ServerName::try_from(name.clone()).map_err(|_| {
        files::content(ca, &format!("is of no use for `{name}`, which no certificate can name: give server_name"))
    })?;
    Ok(Opening { config: Arc::new(config), name })
}

/// This end's own certificate and key, if it has one.
fn own(tls: &TlsConfig) -> Result<Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>, LoadError> {
    match (&tls.certificate, &tls.key) {
        (Some(certificate), Some(key)) => Ok(Some((files::certificates(certificate)?, files::private_key(key)?))),
        _ => Ok(None),
    }
}

fn broken(tls: &TlsConfig, error: &rustls::Error) -> LoadError {
    let file = tls.certificate.as_deref().or(tls.ca.as_deref()).unwrap_or_else(|| Path::new(""));
    let what = match error {
        rustls::Error::InconsistentKeys(_) => {
            "and the key do not belong together: give the key for which it was made".into()
        }
        error => format!("cannot be used ({error})"),
    };
    files::content(file, &what)
}
