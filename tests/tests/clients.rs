//! Clients that people use start and work through the proxy.

use std::io;

use pdw_tests::clients::{redis_cli, redis_py, run};
use pdw_tests::instance::{Instance, addresses};
use pdw_tests::proxy::{Launch, Proxy};

/// A proxy of the given profile before `count` instances, which must outlive it.
fn proxy(profile: &'static str, count: usize) -> io::Result<(Vec<Instance>, Proxy)> {
    let instances = Instance::start_many(count)?;
    let proxy = Launch::new(profile, &addresses(&instances)).start()?;
    Ok((instances, proxy))
}

#[test]
fn redis_cli_works() -> io::Result<()> {
    for profile in ["redis", "pdwfs"] {
        let (_instances, proxy) = proxy(profile, 3)?;
        let cli = |arguments: &[&str], input: &str| redis_cli(proxy.address(), arguments, input);
        assert_eq!(cli(&["SET", "k", "v"], "")?.trim(), "OK");
        assert_eq!(cli(&["GET", "k"], "")?.trim(), "v");
        assert!(cli(&["INFO"], "")?.contains("redis_version"));
        assert_eq!(cli(&[], "MULTI\nSET {t}a 1\nINCR {t}a\nEXEC\n")?.lines().last(), Some("2"));
        assert!(cli(&["--scan"], "")?.lines().any(|line| line == "k"));
        assert!(cli(&["--bigkeys"], "")?.contains("Biggest string found"));
        assert!(cli(&["SUBSCRIBE", "c"], "")?.contains("ERR 'SUBSCRIBE'"));
        assert_eq!(cli(&["EVAL", "return KEYS[1]", "1", "k"], "")?.trim(), "k");
    }
    Ok(())
}

#[test]
fn redis_cli_inserts_in_bulk() -> io::Result<()> {
    let (_instances, proxy) = proxy("redis", 3)?;
    let lines: String = (0..5000).map(|n| format!("SET bulk:{n} {n}\r\n")).collect();
    let output = redis_cli(proxy.address(), &["--pipe"], &lines)?;
    assert!(output.contains("errors: 0, replies: 5000"), "{output}");
    assert_eq!(redis_cli(proxy.address(), &["DBSIZE"], "")?.trim(), "5000");
    Ok(())
}

#[test]
fn redis_benchmark_runs_its_tests() -> io::Result<()> {
    for (profile, count) in [("redis", 1), ("redis", 3), ("pdwfs", 3)] {
        let (_instances, proxy) = proxy(profile, count)?;
        let port = proxy.address().port().to_string();
        let tests =
            "ping_inline,ping_mbulk,set,get,incr,lpush,rpush,lpop,rpop,sadd,hset,spop,zadd,zpopmin,lrange_100,mset";
        let arguments =
            ["-h", "127.0.0.1", "-p", &port, "-t", tests, "-n", "2000", "-c", "20", "-P", "16", "-r", "500", "-q"];
        let output = run("redis-benchmark", &arguments, &[], "")?;
        // LPUSH runs once more to fill the list of LRANGE.
        assert_eq!(output.matches("requests per second").count(), 17, "{output}");
        assert!(!output.to_lowercase().contains("error"), "{output}");
    }
    Ok(())
}

#[test]
fn redis_py_with_hiredis_works() -> io::Result<()> {
    let Some(folder) = redis_py() else { return Ok(()) };
    let (_instances, proxy) = proxy("redis", 3)?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/redis_py.py");
    let path = folder.to_string_lossy().into_owned();
    let output = run("python3", &[script, &proxy.address().port().to_string()], &[("PYTHONPATH", &path)], "")?;
    assert!(output.contains("done"), "{output}");
    Ok(())
}

#[test]
fn redis_rs_works() -> redis::RedisResult<()> {
    let (_instances, proxy) = proxy("redis", 3)?;
    let client = redis::Client::open(format!("redis://{}/", proxy.address()))?;
    let mut connection = client.get_connection()?;
    redis::cmd("SET").arg("k").arg(1).exec(&mut connection)?;
    let (sum, text): (i64, String) =
        redis::pipe().atomic().incr("{k}n", 41).incr("{k}n", 1).ignore().get("{k}n").query(&mut connection)?;
    assert_eq!((sum, text.as_str()), (41, "42"));
    let mut pipe = redis::pipe();
    for number in 0..300 {
        pipe.cmd("SET").arg(format!("rs:{number}")).arg(number).ignore();
    }
    pipe.exec(&mut connection)?;
    let found: std::collections::BTreeSet<String> = redis::cmd("SCAN")
        .cursor_arg(0)
        .arg("MATCH")
        .arg("rs:*")
        .clone()
        .iter(&mut connection)?
        .collect::<Result<_, _>>()?;
    assert_eq!(found.len(), 300);
    let script = redis::Script::new("return redis.call('GET', KEYS[1])");
    assert_eq!(script.key("rs:7").invoke::<i64>(&mut connection)?, 7);
    Ok(())
}
