//! Placement `ketama` finds every key where a running nutcracker put it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use pdw_router::place::{KeyHash, Placement, PlacementKind, PlacementOptions, Shard, Target};

use crate::processes::{Instance, Running, own_loopback, start_instances};

const KEYS: usize = 2_000;

/// One pool of nutcracker, and the placement that should equal it.
struct Pool {
    hash: KeyHash,
    hash_tag: Option<&'static str>,
    servers: Vec<Server>,
}

/// A line of `servers:`.
struct Server {
    address: String,
    weight: u32,
    name: Option<String>,
}

impl Pool {
    fn yaml(&self, name: &str, listen: &Path) -> String {
        let mut yaml = format!("{name}:\n  listen: {}\n  hash: {}\n", listen.display(), self.hash);
        yaml += "  distribution: ketama\n  redis: true\n  auto_eject_hosts: false\n";
        if let Some(tag) = self.hash_tag {
            writeln!(yaml, "  hash_tag: \"{tag}\"").unwrap();
        }
        yaml += "  servers:\n";
        for Server { address, weight, name } in &self.servers {
            writeln!(yaml, "   - {address}:{weight}{}", name.as_ref().map_or(String::new(), |name| format!(" {name}")))
                .unwrap();
        }
        yaml
    }

    fn placement(&self) -> Placement {
        let tag = self.hash_tag.map(|tag| tag.as_bytes().try_into().unwrap());
        let options =
            PlacementOptions { hash: self.hash, hash_tag: tag, ..PlacementOptions::new(PlacementKind::Ketama) };
        Placement::new(&options, &self.servers.iter().map(Server::target).collect::<Vec<_>>()).unwrap()
    }
}

impl Server {
    fn target(&self) -> Target {
        match &self.name {
            Some(name) => Target::named(name.clone(), self.weight),
            None => Target::at(&self.address, self.weight),
        }
    }
}

/// Addresses alone, one of them at the port that twemproxy leaves out of its labels.
fn by_address(instances: &[Instance]) -> Vec<Server> {
    let server = |instance: &Instance| Server { address: instance.address.clone(), weight: 1, name: None };
    instances.iter().map(server).collect()
}

fn by_socket(instances: &[Instance]) -> Vec<Server> {
    let server = |instance: &Instance| Server { address: instance.socket.display().to_string(), weight: 3, name: None };
    instances.iter().map(server).collect()
}

/// Names whose order is not the list's, and weights from 1 to 5.
fn by_name(instances: &[Instance]) -> Vec<Server> {
    let server = |(instance, i): (&Instance, u32)| Server {
        address: instance.address.clone(),
        weight: 1 + i * 3 % 5,
        name: Some(format!("{}-{}", ["server", "s", "a.long.name.of.a.server"][i as usize % 3], 90 - i)),
    };
    instances.iter().zip(0..).map(server).collect()
}

fn pools(instances: &[Instance]) -> Vec<Pool> {
    let required = [KeyHash::Fnv1a64, KeyHash::Md5, KeyHash::Murmur, KeyHash::Crc16];
    let mut pools = Vec::new();
    for (hash, count) in required.into_iter().flat_map(|hash| [1, 3, 11].map(|count| (hash, count))) {
        let some = &instances[..count];
        pools.push(Pool { hash, hash_tag: None, servers: by_address(some) });
        pools.push(Pool { hash, hash_tag: Some("{}"), servers: by_name(some) });
    }
    for hash in KeyHash::all() {
        pools.push(Pool { hash, hash_tag: Some("$$"), servers: by_socket(instances) });
    }
    pools
}

/// Keys as applications make them, the empty key, and random bytes with many delimiters of hash tags.
fn keys() -> BTreeSet<Vec<u8>> {
    let mut random = fastrand::Rng::with_seed(20);
    let mut keys: BTreeSet<Vec<u8>> =
        (0..KEYS / 4).map(|i| format!("user:{i}:{{cart-{}}}", i % 50).into_bytes()).collect();
    keys.insert(Vec::new());
    while keys.len() < KEYS {
        let length = random.usize(1..60);
        let byte = |random: &mut fastrand::Rng| {
            if random.u8(..4) == 0 { *random.choice(b"{}$").unwrap() } else { random.u8(..) }
        };
        keys.insert((0..length).map(|_| byte(&mut random)).collect());
    }
    keys
}

fn start_nutcracker(folder: &Path, pools: &[Pool]) -> (Running, Vec<PathBuf>) {
    let sockets: Vec<_> = (0..pools.len()).map(|i| folder.join(format!("pool{i}"))).collect();
    let named = pools.iter().zip(&sockets).enumerate();
    let yaml: String = named.map(|(i, (pool, socket))| pool.yaml(&format!("pool{i}"), socket)).collect();
    let file = folder.join("nutcracker.yml");
    std::fs::write(&file, yaml).unwrap();
    let mut command = Command::new("nutcracker");
    command.arg("-c").arg(&file).args(["-a", &own_loopback().to_string(), "-s", "22222"]);
    let mut process = Running::start(command, folder.join("nutcracker.log"));
    sockets.iter().for_each(|socket| process.wait_for(socket));
    (process, sockets)
}

/// Pipelines a SET of every key and reads as many `+OK`s.
fn set_all(socket: &Path, keys: &BTreeSet<Vec<u8>>) {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut requests = Vec::new();
    for key in keys {
        write!(requests, "*3\r\n$3\r\nSET\r\n${}\r\n", key.len()).unwrap();
        requests.extend_from_slice(key);
        requests.extend_from_slice(b"\r\n$1\r\nx\r\n");
    }
    stream.write_all(&requests).unwrap();
    let mut replies = vec![0; b"+OK\r\n".len() * keys.len()];
    stream.read_exact(&mut replies).unwrap();
    assert_eq!(replies, b"+OK\r\n".repeat(keys.len()), "nutcracker refused a SET");
}

/// The keys of an instance, which is empty afterwards.
fn drain(connection: &mut redis::Connection) -> Vec<Vec<u8>> {
    let found = redis::cmd("KEYS").arg("*").query(connection).unwrap();
    redis::cmd("FLUSHALL").exec(connection).unwrap();
    found
}

#[test]
fn every_key_is_where_nutcracker_put_it() {
    let folder = tempfile::tempdir().unwrap();
    let instances = start_instances(folder.path(), [11_211].into_iter().chain(7_001..7_011), &[]);
    let mut connections: Vec<_> = instances.iter().map(Instance::connect).collect();
    let (pools, keys) = (pools(&instances), keys());
    let (_nutcracker, sockets) = start_nutcracker(folder.path(), &pools);
    for (pool, socket) in pools.iter().zip(&sockets) {
        set_all(socket, &keys);
        let placement = pool.placement();
        let (mut found, mut strays) = (0, Vec::new());
        for (connection, shard) in connections.iter_mut().zip((0..).map(Shard)) {
            let held = drain(connection);
            found += held.len();
            strays.extend(held.into_iter().filter(|key| placement.home(key) != shard).map(|key| (key, shard)));
        }
        let case = format!("{} over {} servers, hash_tag {:?}", pool.hash, pool.servers.len(), pool.hash_tag);
        assert_eq!(found, keys.len(), "{case}");
        assert!(strays.is_empty(), "{case}: {} keys elsewhere, as {:?}", strays.len(), strays[0]);
    }
}
