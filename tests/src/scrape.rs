//! The numbers on a proxy's admin address.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::address::Address;

const LIMIT: Duration = Duration::from_secs(10);

/// All series of one moment.
#[derive(Clone, Debug)]
pub struct Scrape {
    series: BTreeMap<String, f64>,
}

impl Scrape {
    /// Asks for `/metrics`.
    ///
    /// # Errors
    /// When there is no answer, or not that of a proxy.
    pub fn take(admin: &Address) -> io::Result<Scrape> {
        let Address::Tcp(address) = admin else { return Err(io::Error::other("an admin address is a TCP address")) };
        let mut stream = TcpStream::connect_timeout(address, LIMIT)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.write_all(format!("GET /metrics HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n").as_bytes())?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        if !text.starts_with("HTTP/1.1 200") {
            return Err(io::Error::other(text));
        }
        let series = text.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_lowercase()));
        Ok(Scrape { series: series.filter_map(one).collect() })
    }

    /// The value of a series, written as there: `pdw_links{lane="shared",state="ready"}`; 0 for one that is not there.
    pub fn value(&self, series: &str) -> f64 {
        self.series.get(series).copied().unwrap_or_default()
    }

    /// The sum over all labels of a metric.
    pub fn sum(&self, metric: &str) -> f64 {
        let labelled = format!("{metric}{{");
        let of_metric = self.series.iter().filter(|(name, _)| *name == metric || name.starts_with(&labelled));
        of_metric.map(|(_, value)| value).sum()
    }
}

fn one(line: &str) -> Option<(String, f64)> {
    let (name, value) = line.rsplit_once(' ')?;
    Some((name.to_owned(), value.parse().ok()?))
}
