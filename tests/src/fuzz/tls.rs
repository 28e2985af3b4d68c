//! Fuzz target `tls`: the proxy's own two ends of TLS. Numbers that nobody can foresee are in every connection, so an input
//! does nearly the same each time, not exactly.

use std::error::Error;
use std::path::Path;
use std::sync::OnceLock;

use pdw_auth::Handshake;
use pdw_proxy::Seal;
use pdw_proxy::config::{NamedBy, SealConfig, TlsConfig};

use super::script::Script;
use super::seals::{Case, run};
use crate::certificates::{Authority, Pair};

/// Who connects, and who listens.
type Ends = [Seal; 2];

/// As [`spiped`](super::spiped): the low bit of the first byte has the client show a certificate, which makes it a user.
pub fn tls(input: &[u8]) {
    static ENDS: OnceLock<[Ends; 2]> = OnceLock::new();
    let mut script = Script::new(input);
    let mode = script.byte();
    let ends = ENDS.get_or_init(|| make().expect("certificates can be made, and are what the proxy wants"));
    let [opener, accepter] = &ends[usize::from(mode & 1)];
    let case = Case { undisturbed: mode & 2 == 0, fit: true, listens_on: false };
    run([begin(opener), begin(accepter)], case, script);
}

fn begin(seal: &Seal) -> Box<dyn Handshake> {
    seal.begin().expect("there is entropy")
}

/// Ends where clients show no certificate, and ends where they do.
fn make() -> Result<[Ends; 2], Box<dyn Error>> {
    let authority = Authority::new()?;
    let [server, client] = ["server", "client"].map(|name| authority.sign(name, name, &["localhost"]));
    let (server, client, ca) = (server?, client?, authority.file());
    Ok([ends(&server, None, &ca)?, ends(&server, Some(&client), &ca)?])
}

fn ends(server: &Pair, client: Option<&Pair>, ca: &Path) -> Result<Ends, Box<dyn Error>> {
    let accepting = TlsConfig {
        ca: client.map(|_| ca.to_path_buf()),
        named: client.map(|_| NamedBy::AlternativeNames),
        ..shown(Some(server))
    };
    let opening = TlsConfig { ca: Some(ca.to_path_buf()), ..shown(client) };
    let opener = Seal::opening(&SealConfig::Tls(opening), &"localhost:1".parse()?)?;
    let accepter = Seal::accepting(&SealConfig::Tls(accepting))?;
    Ok([opener.ok_or("it is sealed")?, accepter.ok_or("it is sealed")?])
}

/// What an end shows of itself.
fn shown(pair: Option<&Pair>) -> TlsConfig {
    let pair = pair.cloned();
    TlsConfig {
        certificate: pair.as_ref().map(|pair| pair.certificate.clone()),
        key: pair.map(|pair| pair.key),
        ..TlsConfig::default()
    }
}
