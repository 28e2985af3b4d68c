//! A proxy with a listener for every seal, for those who come to break in.

use std::io;
use std::net::TcpStream;

use pdw_auth::spiped::Strength;
use pdw_auth::{Handshake, Role};
use pdw_tests::address::Address;
use pdw_tests::certificates::{Authority, Pair, secret};
use pdw_tests::instance::Instance;
use pdw_tests::proxy::{Launch, Proxy};
use pdw_tests::sealed::{self, SealedStream};
use pdw_tests::tls_client::TlsClient;

use crate::hostile::{HANDSHAKE, SLACK};
use crate::{noise, quoted};

/// A proxy with a listener for every seal.
pub(crate) struct House {
    pub(crate) authority: Authority,
    _instance: Instance,
    pub(crate) proxy: Proxy,
    pub(crate) tls: Address,
    pub(crate) spiped: Address,
    pub(crate) noise: Address,
    pub(crate) key: Vec<u8>,
}

impl House {
    pub(crate) fn new(options: &str) -> Self {
        Self::with("", "", options)
    }

    /// With further entries of the listener for `spiped`, and of that for `noise`.
    pub(crate) fn with(spiped_entries: &str, noise_entries: &str, options: &str) -> Self {
        let authority = Authority::new().unwrap();
        let Pair { certificate, key } = authority.sign("server", "localhost", &["localhost", "127.0.0.1"]).unwrap();
        let (file, bytes) = (authority.folder().join("shared.key"), noise(1, 32));
        secret(&file, &bytes).unwrap();
        let instance = Instance::start().unwrap();
        let [plain, tls, spiped, noise] = [(); 4].map(|()| Address::free_loopback().unwrap());
        let shared = |address: &Address, seal: &str, entries: &str| {
            format!("{{ address = \"{address}\", seal = \"{seal}\", key = {}{entries} }}", quoted(&file))
        };
        let config = format!(
            "listen = [\"{plain}\", {{ address = \"{tls}\", seal = \"tls\", certificate = {}, key = {} }}, {}, {}]\n{options}\n",
            quoted(&certificate),
            quoted(&key),
            shared(&spiped, "spiped", spiped_entries),
            shared(&noise, "noise", noise_entries),
        );
        let launch = Launch::new("redis", &[instance.address().clone()]).levels(1).config(&config);
        let proxy = launch.listens_by_file(&plain).with_admin().start().unwrap();
        Self { authority, _instance: instance, proxy, tls, spiped, noise, key: bytes }
    }

    /// Waits until the log has a text.
    pub(crate) fn wait_log(&mut self, text: &str) {
        self.proxy.wait_log(text).unwrap();
    }

    /// The address of the listener with this seal.
    pub(crate) fn address(&self, seal: &str) -> &Address {
        if seal == "noise" { &self.noise } else { &self.spiped }
    }

    /// A handshake with this key.
    pub(crate) fn handshake(seal: &str, role: Role, key: &[u8]) -> Box<dyn Handshake> {
        let begun = if seal == "noise" { sealed::noise(role, key) } else { sealed::spiped(role, key, Strength::Weak) };
        begun.unwrap()
    }

    /// A sealed connection.
    pub(crate) fn open(&self, seal: &str) -> io::Result<SealedStream> {
        SealedStream::new(self.dial(seal)?, Self::handshake(seal, Role::Opens, &self.key))
    }

    /// A bare connection to a sealed listener.
    pub(crate) fn dial(&self, seal: &str) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(self.address(seal).to_string())?;
        stream.set_read_timeout(Some(HANDSHAKE + SLACK))?;
        Ok(stream)
    }

    /// The first thing that a client says, by each seal: after it the proxy waits for more.
    pub(crate) fn first_words(&self) -> [(&Address, Vec<u8>); 3] {
        let hello = TlsClient::new(&self.authority.file(), None).unwrap().hello().unwrap();
        [(&self.tls, hello), (&self.spiped, noise(3, 40)), (&self.noise, noise(4, 40))]
    }
}
