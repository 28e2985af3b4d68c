//! What TLS says when it fails, in words that tell the operator what to do.

use pdw_auth::{Role, SealError};
use rustls::{AlertDescription, CertificateError, Error};

/// What to tell the operator.
pub(super) fn explain(error: &Error, role: Role) -> SealError {
    match error {
        Error::InvalidCertificate(why) => SealError::Certificate(certificate(why, role)),
        Error::NoCertificatesPresented => SealError::Certificate(
            "it shows no certificate, but client_auth = \"required\": give it one, or make it \"optional\"".to_owned(),
        ),
        Error::InvalidMessage(_) => {
            SealError::Tls(format!("what came is no TLS ({error}); compare the seals of both ends"))
        }
        Error::AlertReceived(alert) => SealError::Tls(refusal(*alert)),
        Error::DecryptError => SealError::Forged,
        error => SealError::Tls(error.to_string()),
    }
}

fn certificate(why: &CertificateError, role: Role) -> String {
    let whose = match role {
        Role::Opens => "the upstream's certificate",
        Role::Accepts => "the client's certificate",
    };
    let (ours, remedy) = match role {
        Role::Opens => ("ca", "give the name in it as server_name, or the upstream one for this name"),
        Role::Accepts => ("client_ca", "give the client one for this name"),
    };
    match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            format!("{whose} has expired ({why}): renew it there")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            format!("{whose} is not valid yet ({why}): is the clock right here, and was it there?")
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("{whose} is for another name ({why}): {remedy}")
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            format!(
                "{whose} is signed by nobody in `{ours}`: add the authority that signed it there, or get another one"
            )
        }
        why => format!("{whose} is not accepted ({why})"),
    }
}

/// What the far end has against us.
fn refusal(alert: AlertDescription) -> String {
    let remedy = match alert {
        AlertDescription::CertificateRequired => "give this upstream `certificate` and `key`",
        AlertDescription::UnknownCA => "it does not know who signed our certificate; give it that authority",
        AlertDescription::CertificateExpired => "our certificate has expired; renew it",
        AlertDescription::BadCertificate | AlertDescription::CertificateUnknown => "it does not accept our certificate",
        AlertDescription::ProtocolVersion => "it speaks neither TLS 1.2 nor 1.3; bring it up to date",
        AlertDescription::HandshakeFailure => "there is no algorithm that both ends have",
        _ => "see the far end's log",
    };
    format!("the far end refuses ({alert:?}): {remedy}")
}
