//! `pdw-proxy keygen`: a file with a new key, for a seal.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use pdw_auth::{Identity, PublicKey};
use zeroize::Zeroizing;

use super::{KeyKind, KeygenArgs, print};

/// Why there is no new key.
#[derive(Debug, thiserror::Error)]
pub enum KeygenError {
    /// A key that is overwritten is lost to all who use it.
    #[error("{0} is there already and stays as it is; name another file, and move this one away once no link uses it")]
    Exists(PathBuf),
    /// So is an identity, which others know by its public key: who asks for a file again may want only that.
    #[error("{0} is there already and stays as it is; what other nodes give as `far` is its public key:\n{1}")]
    Known(PathBuf, PublicKey),
    /// The file cannot be made or written.
    #[error("{0} cannot be written ({1}): name a file in a folder that is there and that this user can write to")]
    File(PathBuf, io::Error),
    /// There is no entropy.
    #[error("this machine gives no random numbers: {0}")]
    Entropy(getrandom::Error),
}

/// Makes a key file that only its owner may read, and says on standard output what to do with it.
///
/// # Errors
/// When the file exists or cannot be written, or there is no entropy. Then no file is left behind.
pub fn keygen(args: &KeygenArgs) -> Result<(), KeygenError> {
    let mut random = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *random).map_err(KeygenError::Entropy)?;
    let content = match args.kind {
        KeyKind::Spiped | KeyKind::Noise => Zeroizing::new(random.to_vec()),
        KeyKind::Identity => Zeroizing::new(Identity::file_of(&random).as_bytes().to_vec()),
    };
    create(&args.file, &content).map_err(|error| match error {
        KeygenError::Exists(path) if args.kind == KeyKind::Identity => known(path),
        error => error,
    })?;
    print::say(&advice(args, &content));
    Ok(())
}

fn create(path: &Path, content: &[u8]) -> Result<(), KeygenError> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let file = file.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => KeygenError::Exists(path.to_owned()),
        _ => KeygenError::File(path.to_owned(), error),
    })?;
    write(file, content).map_err(|error| {
        // Half a key is worse than none. If it cannot be removed either, the error at hand says enough.
        let _ = fs::remove_file(path);
        KeygenError::File(path.to_owned(), error)
    })
}

/// The error of an identity that is there already.
fn known(path: PathBuf) -> KeygenError {
    let content = fs::read(&path).map(Zeroizing::new).unwrap_or_default();
    match Identity::from_file(&content, 0o600) {
        Ok(identity) => KeygenError::Known(path, identity.public()),
        Err(_) => KeygenError::Exists(path),
    }
}

/// To the disk, since the other end may have a copy before this machine is next in trouble.
fn write(mut file: File, content: &[u8]) -> io::Result<()> {
    file.write_all(content)?;
    file.sync_all()
}

/// What to do next.
fn advice(args: &KeygenArgs, content: &[u8]) -> String {
    let file = args.file.display();
    match args.kind {
        KeyKind::Spiped => format!(
            "{file}: a new key for one link. Copy it to the other end unseen (scp -p), and name it at both ends: \
             `seal = \"spiped\", key = \"{file}\"` here, or `spiped -k {file}` there."
        ),
        KeyKind::Noise => format!(
            "{file}: a new key for one link. Copy it to the other end unseen (scp -p), and name it at both ends: \
             `seal = \"noise\", key = \"{file}\"`."
        ),
        KeyKind::Identity => {
            let public = Identity::from_file(content, 0o600).map(|identity| identity.public().to_string());
            format!(
                "{file}: the identity of this node, which never leaves it: `identity = \"{file}\"` here. At the nodes that it \
                 speaks to, `far` is its public key:\n{}",
                public.unwrap_or_default()
            )
        }
    }
}
