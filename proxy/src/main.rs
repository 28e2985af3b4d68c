//! pdw-proxy: a tiered proxy server for the Redis protocol.

#[allow(dead_code, unused_imports, reason = "`serve` will start it")]
mod admin;

fn main() {}
