//! A process that uses pdwfs: directories, files, and the inodes it remembers.

use std::collections::HashSet;
use std::io;

use super::store::Store;
use crate::address::Address;

/// One program run under pdwfs.
#[derive(Debug)]
pub struct Process {
    mount: String,
    store: Store,
    /// Paths whose inode this process has seen; never invalidated by other processes.
    known: HashSet<String>,
}

impl Process {
    /// Starts up: makes the mount's inode, over one connection to the mount's instance.
    ///
    /// `addresses` are the instances in ring order, or one proxy; `stripe` is in bytes.
    ///
    /// # Errors
    /// When a command is refused or not answered; so for every operation below.
    pub fn start(addresses: &[Address], mount: &str, stripe: u64) -> io::Result<Process> {
        let process = Process { mount: mount.to_owned(), store: Store::new(addresses, stripe), known: HashSet::new() };
        process.make_inode(mount, Some(384))?;
        Ok(process)
    }

    /// The most connections that this process had open to one address at once.
    pub fn peak_connections(&self) -> usize {
        self.store.peak()
    }

    /// `mkdir`; nothing is sent when this process knows the directory.
    ///
    /// # Errors
    /// As [`Process::start`].
    pub fn mkdir(&mut self, path: &str) -> io::Result<()> {
        if self.look_up(path)? {
            return Ok(());
        }
        self.make_inode(path, Some(493))?;
        self.add_child(path)?;
        self.known.insert(path.to_owned());
        Ok(())
    }

    /// `open` with O_CREAT.
    ///
    /// # Errors
    /// As [`Process::start`].
    pub fn create(&mut self, path: &str) -> io::Result<()> {
        if self.look_up(path)? {
            return Ok(());
        }
        self.make_inode(path, None)?;
        self.add_child(path)?;
        self.exists(path, "children")?;
        self.known.insert(path.to_owned());
        Ok(())
    }

    /// `open` without O_CREAT, or `access`: whether there is such a path.
    ///
    /// # Errors
    /// As [`Process::start`].
    pub fn open(&mut self, path: &str) -> io::Result<bool> {
        self.look_up(path)
    }

    /// `pwrite`.
    ///
    /// # Errors
    /// As [`Process::start`].
    pub fn write(&mut self, path: &str, offset: u64, data: &[u8]) -> io::Result<()> {
        self.look_up(path)?;
        self.store.write(path, offset, data)
    }

    /// `open` with O_APPEND, then `write`: at the offset found at open.
    ///
    /// # Errors
    /// As [`Process::start`].
    pub fn append(&mut self, path: &str, data: &[u8]) -> io::Result<()> {
        let end = self.stat(path)?;
        self.store.write(path, end, data)
    }

    /// `pread`.
    ///
    /// # Errors
    /// As [`Process::start`].
    pub fn read(&mut self, path: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        self.look_up(path)?;
        self.store.read(path, offset, length)
    }

    /// `stat`: the size in bytes.
    ///
    /// # Errors
    /// As [`Process::start`].
    pub fn stat(&mut self, path: &str) -> io::Result<u64> {
        self.look_up(path)?;
        self.store.size(path)
    }

    /// `ftruncate` to `size`. Growing needs a size that fills its last stripe (pdwfs is wrong otherwise).
    ///
    /// # Errors
    /// As [`Process::start`].
    pub fn resize(&mut self, path: &str, size: u64) -> io::Result<()> {
        let old = self.stat(path)?;
        if size < old { self.store.shrink(path, size) } else { self.store.grow(path, size) }
    }

    /// `open` with O_TRUNC.
    ///
    /// # Errors
    /// As [`Process::start`].
    pub fn truncate(&mut self, path: &str) -> io::Result<()> {
        self.look_up(path)?;
        self.store.remove(path)
    }

    /// `unlink`.
    ///
    /// # Errors
    /// As [`Process::start`].
    pub fn unlink(&mut self, path: &str) -> io::Result<()> {
        self.look_up_parent(path)?;
        let cold = !self.known.remove(path);
        if cold {
            self.exists(path, "mode")?;
        }
        self.drop_child(path)?;
        if cold {
            self.exists(path, "children")?;
        }
        self.store.remove(path)?;
        self.drop_inode(path)
    }

    /// `rmdir`: whether the directory was empty and is gone.
    ///
    /// # Errors
    /// As [`Process::start`].
    pub fn rmdir(&mut self, path: &str) -> io::Result<bool> {
        self.look_up(path)?;
        if self.children(path)? > 0 {
            return Ok(false);
        }
        self.drop_child(path)?;
        self.children(path)?;
        self.drop_inode(path)?;
        self.known.remove(path);
        Ok(true)
    }

    fn make_inode(&self, path: &str, directory_mode: Option<u32>) -> io::Result<()> {
        let (children, mode_key) = (children_key(path), mode_key(path));
        let mode = directory_mode.unwrap_or(420).to_string();
        let mut commands = vec![vec![&b"SETNX"[..], mode_key.as_bytes(), mode.as_bytes()]];
        if directory_mode.is_some() {
            commands.insert(0, vec![b"SADD", children.as_bytes(), b""]);
        }
        self.store.pool(&mode_key).transaction(&commands)
    }

    fn add_child(&self, path: &str) -> io::Result<()> {
        let key = children_key(parent(path));
        self.store.pool(&key).call(&[b"SADD", key.as_bytes(), path.as_bytes()]).map(drop)
    }

    fn drop_child(&self, path: &str) -> io::Result<()> {
        let key = children_key(parent(path));
        self.store.pool(&key).call(&[b"SREM", key.as_bytes(), path.as_bytes()]).map(drop)
    }

    fn drop_inode(&self, path: &str) -> io::Result<()> {
        let (children, mode) = (children_key(path), mode_key(path));
        self.store.pool(&mode).call(&[b"UNLINK", children.as_bytes(), mode.as_bytes()]).map(drop)
    }

    /// How many paths a directory holds; its first member, the empty one, does not count.
    fn children(&self, path: &str) -> io::Result<usize> {
        let key = children_key(path);
        let members = self.store.pool(&key).call(&[b"SMEMBERS", key.as_bytes()])?;
        Ok(members.elements().iter().filter(|member| !member.bytes().is_empty()).count())
    }

    fn exists(&self, path: &str, what: &str) -> io::Result<bool> {
        let key = format!("{{{path}}}:{what}");
        Ok(self.store.pool(&key).call(&[b"EXISTS", key.as_bytes()])?.integer() == Some(1))
    }

    /// Whether `path` is there; remembered once it is.
    fn look_up(&mut self, path: &str) -> io::Result<bool> {
        self.look_up_parent(path)?;
        if self.known.contains(path) {
            return Ok(true);
        }
        if !self.exists(path, "mode")? {
            return Ok(false);
        }
        self.exists(path, "children")?;
        self.known.insert(path.to_owned());
        Ok(true)
    }

    fn look_up_parent(&mut self, path: &str) -> io::Result<()> {
        let parent = parent(path).to_owned();
        if self.known.contains(&parent) {
            return Ok(());
        }
        if parent != self.mount {
            self.exists(&parent, "mode")?;
        }
        self.exists(&parent, "children")?;
        self.known.insert(parent);
        Ok(())
    }
}

fn children_key(path: &str) -> String {
    format!("{{{path}}}:children")
}

fn mode_key(path: &str) -> String {
    format!("{{{path}}}:mode")
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}
