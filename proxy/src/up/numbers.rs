//! The proxy's own metrics, as far as they are shown.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;

/// How often they are asked for, and how long an answer may take: a proxy may be stopped.
const PERIOD: Duration = Duration::from_secs(1);

/// One answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Numbers {
    values: BTreeMap<String, f64>,
    taken: Option<Instant>,
}

/// What two answers say of the time between them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rates {
    /// Requests a second.
    pub(super) requests: f64,
    /// Refusals a second.
    pub(super) refusals: f64,
    /// Half of the replies took no longer, in seconds; the bucket's upper bound.
    pub(super) half: Option<f64>,
    /// 99 of 100 took no longer.
    pub(super) most: Option<f64>,
}

/// Asks again and again.
pub(super) struct Watcher(watch::Receiver<Option<Numbers>>);

impl Watcher {
    /// Asks the admin server at `address` from now on.
    pub(super) fn start(address: &str) -> Self {
        let (tell, told) = watch::channel(None);
        let address = address.to_owned();
        tokio::spawn(async move {
            loop {
                let answer = tokio::time::timeout(PERIOD, ask(&address)).await;
                if tell.send(answer.ok().and_then(Result::ok)).is_err() {
                    return;
                }
                tokio::time::sleep(PERIOD).await;
            }
        });
        Self(told)
    }

    /// The latest answer; `None` if the last question got none.
    pub(super) fn latest(&self) -> Option<Numbers> {
        self.0.borrow().clone()
    }
}

async fn ask(address: &str) -> io::Result<Numbers> {
    let text = match address.contains('/') {
        true => get(UnixStream::connect(address).await?).await?,
        false => get(TcpStream::connect(address).await?).await?,
    };
    Ok(Numbers { taken: Some(Instant::now()), ..Numbers::parse(&text) })
}

async fn get(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<String> {
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: up\r\nConnection: close\r\n\r\n").await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text)
}

impl Numbers {
    /// Reads lines `name{label="value"} number` (the text format of Prometheus); others are passed over.
    fn parse(text: &str) -> Self {
        let sample = |line: &str| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        let values = text.lines().filter(|line| line.starts_with("pdw_")).filter_map(sample);
        Self { values: values.collect(), taken: None }
    }

    /// A number without labels; 0 if it is not there.
    pub(super) fn value(&self, name: &str) -> f64 {
        self.values.get(name).copied().unwrap_or_default()
    }

    /// A number of one upstream.
    pub(super) fn of_upstream(&self, name: &str, upstream: &str) -> f64 {
        self.value(&format!("{name}{{upstream=\"{upstream}\"}}"))
    }

    /// The sum over all labels.
    fn sum(&self, name: &str) -> f64 {
        let labelled = |(key, _): &(&String, &f64)| key.strip_prefix(name).is_some_and(|rest| rest.starts_with('{'));
        self.values.iter().filter(labelled).map(|(_, value)| value).sum()
    }

    /// What has happened since `earlier`; nothing if that was another process.
    pub(super) fn since(&self, earlier: &Numbers) -> Rates {
        let seconds = self.taken.zip(earlier.taken).map_or(0.0, |(now, then)| (now - then).as_secs_f64());
        let requests = self.sum("pdw_requests_total") - earlier.sum("pdw_requests_total");
        if seconds <= 0.0 || requests < 0.0 {
            return Rates::default();
        }
        let refusals = self.sum("pdw_refusals_total") - earlier.sum("pdw_refusals_total");
        let buckets = self.buckets(earlier);
        Rates {
            requests: requests / seconds,
            refusals: refusals / seconds,
            half: quantile(&buckets, 0.5),
            most: quantile(&buckets, 0.99),
        }
    }

    /// Upper bounds and how many replies took no longer since `earlier`, in rising order.
    fn buckets(&self, earlier: &Numbers) -> Vec<(f64, f64)> {
        let bucket = |(key, count): (&String, &f64)| {
            let bound = key.strip_prefix("pdw_request_duration_seconds_bucket{le=\"")?.strip_suffix("\"}")?;
            Some((bound.parse().unwrap_or(f64::INFINITY), count - earlier.value(key)))
        };
        let mut buckets: Vec<(f64, f64)> = self.values.iter().filter_map(bucket).collect();
        buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
        buckets
    }
}

fn quantile(buckets: &[(f64, f64)], part: f64) -> Option<f64> {
    let all = buckets.last().map(|(_, count)| *count).filter(|count| *count > 0.0)?;
    buckets.iter().find(|(_, count)| *count >= part * all).map(|(bound, _)| *bound)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(text: &str, at: Instant) -> Numbers {
        Numbers { taken: Some(at), ..Numbers::parse(text) }
    }

    #[test]
    fn rates_and_latencies_are_those_of_the_time_between_two_answers() {
        let then = Instant::now();
        let before = "# HELP\npdw_requests_total{command=\"get\"} 10\npdw_requests_total{command=\"set\"} 5\n\
                      pdw_request_duration_seconds_bucket{le=\"0.001\"} 10\n\
                      pdw_request_duration_seconds_bucket{le=\"+Inf\"} 10\npdw_sessions 3\n";
        let after = "pdw_requests_total{command=\"get\"} 110\npdw_requests_total{command=\"set\"} 105\n\
                     pdw_refusals_total{kind=\"not_sent\"} 2\n\
                     pdw_request_duration_seconds_bucket{le=\"0.001\"} 106\n\
                     pdw_request_duration_seconds_bucket{le=\"0.002\"} 109\n\
                     pdw_request_duration_seconds_bucket{le=\"+Inf\"} 110\npdw_upstream_up{upstream=\"instance-1\"} 1\n";
        let (before, after) = (numbers(before, then), numbers(after, then + Duration::from_secs(2)));
        let rates = after.since(&before);
        assert_eq!(rates, Rates { requests: 100.0, refusals: 1.0, half: Some(0.001), most: Some(0.002) });
        assert_eq!((before.value("pdw_sessions"), after.of_upstream("pdw_upstream_up", "instance-1")), (3.0, 1.0));
        assert_eq!(before.since(&after), Rates::default(), "another process");
    }
}
