//! pdw-proxy: a tiered proxy server for the Redis protocol.
fn main() {}
