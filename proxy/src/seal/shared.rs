//! Seals by a secret that both ends have: `spiped` and `noise`, whose cryptography is in `pdw-auth`.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use pdw_auth::{Handshake, Identity, KeyError, Role, SealError, Secret, noise, spiped};

use super::{Job, Keys, LoadError, files};
use crate::config::{NoiseConfig, SpipedConfig};

/// Halves of key exchanges that are kept ready for one listener or upstream.
const PAIRS_READY: usize = spiped::HANDSHAKES_MAX;

/// A spiped link, either end.
#[derive(Debug)]
pub(super) struct Spiped {
    role: Role,
    settings: Arc<spiped::Settings>,
    stock: Arc<Stock>,
}

impl Spiped {
    /// Reads the keys.
    pub(super) fn load(config: &SpipedConfig, role: Role) -> Result<Self, LoadError> {
        let settings = spiped::Settings { keys: secrets(&config.keys)?, strength: config.strength };
        Ok(Self { role, settings: Arc::new(settings), stock: Arc::default() })
    }
}

impl Keys for Spiped {
    fn begin(&self) -> Result<Box<dyn Handshake>, SealError> {
        let stock: Arc<dyn spiped::Pairs> = Arc::<Stock>::clone(&self.stock);
        Ok(spiped::begin(self.role, Arc::clone(&self.settings), stock, random()?))
    }

    fn prepare(&self) -> Option<Job> {
        let wanted = self.settings.strength != spiped::Strength::Weak && self.stock.is_short();
        let stock = Arc::clone(&self.stock);
        wanted.then(|| Box::new(move || stock.fill()) as Job)
    }
}

/// Halves of key exchanges, made while handshakes wait for the network.
#[derive(Debug, Default)]
struct Stock(Mutex<Vec<spiped::Pair>>);

impl Stock {
    fn is_short(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len() < PAIRS_READY
    }

    fn fill(&self) {
        let pair = random().ok().map(|random| spiped::Pair::new(&random));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(pair);
    }
}

impl spiped::Pairs for Stock {
    fn take(&self) -> Option<spiped::Pair> {
        let ready = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        ready.or_else(|| random().ok().map(|random| spiped::Pair::new(&random)))
    }
}

/// A Noise link, either end.
#[derive(Debug)]
pub(super) struct Noise {
    role: Role,
    settings: Arc<noise::Settings>,
}

impl Noise {
    /// Reads the keys.
    pub(super) fn load(config: &NoiseConfig, role: Role) -> Result<Self, LoadError> {
        let peers = match &config.identity {
            None => None,
            Some(file) => {
                let (bytes, mode) = files::secret_file(file)?;
                let own = Identity::from_file(&bytes, mode).map_err(|error| key_error(file, &error))?;
                if config.far.contains(&own.public()) {
                    return Err(LoadError::OwnKey(file.display().to_string()));
                }
                Some(noise::Peers { own, far: config.far.clone() })
            }
        };
        let settings = noise::Settings {
            keys: secrets(&config.keys)?,
            cipher: config.cipher,
            peers,
            names: config.names.clone(),
            pad_to: config.pad_to,
        };
        Ok(Self { role, settings: Arc::new(settings) })
    }
}

impl Keys for Noise {
    fn begin(&self) -> Result<Box<dyn Handshake>, SealError> {
        Ok(noise::begin(self.role, Arc::clone(&self.settings), random()?))
    }
}

/// The keys of one or two files, the current one first.
fn secrets(files: &[std::path::PathBuf]) -> Result<pdw_auth::Keys, LoadError> {
    let mut all = files.iter().map(|file| secret(file));
    let current = all.next().unwrap_or_else(|| secret(Path::new("")))?;
    Ok(pdw_auth::Keys { current, previous: all.next().transpose()? })
}

fn secret(file: &Path) -> Result<Secret, LoadError> {
    let (bytes, mode) = files::secret_file(file)?;
    Secret::from_file(&bytes, mode).map_err(|error| key_error(file, &error))
}

fn key_error(file: &Path, error: &KeyError) -> LoadError {
    LoadError::Key { file: file.display().to_string(), why: error.clone() }
}

/// 32 bytes that nobody can foresee.
fn random() -> Result<[u8; 32], SealError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|_| SealError::Broken("the kernel gives no entropy"))?;
    Ok(bytes)
}
