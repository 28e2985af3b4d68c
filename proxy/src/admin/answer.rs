//! What each path answers.

use std::fmt::Write;

use http_body_util::Full;
use hyper::body::{Body, Bytes};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use super::{ProcessReader, Source, UpstreamState};

const PLAIN: &str = "text/plain; charset=utf-8";

const PATHS: &str = "\
/metrics  all numbers, for Prometheus
/healthz  200 as long as the process is alive
/readyz   200 if every upstream can be reached, else 503 and the upstreams that cannot; 503 while draining
";

const DRAINING: &str = "not ready: draining, no new sessions are taken\n";

/// A response whose body is at hand.
pub(super) type Answer = Response<Full<Bytes>>;

/// Answers one request. Its body, if there is one, is not read.
pub(super) async fn answer<B: Body>(request: &Request<B>, source: &impl Source, process: &ProcessReader) -> Answer {
    let path = request.uri().path();
    if !["/metrics", "/healthz", "/readyz"].contains(&path) {
        return plain(StatusCode::NOT_FOUND, format!("There is nothing here. The paths are:\n\n{PATHS}"));
    }
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        return only_get();
    }
    match path {
        "/metrics" => metrics(source, process).await,
        "/readyz" if process.standing().draining => plain(StatusCode::SERVICE_UNAVAILABLE, DRAINING.to_owned()),
        "/readyz" => readiness(&source.snapshot().await.upstreams),
        _ => plain(StatusCode::OK, "ok\n".to_owned()),
    }
}

async fn metrics(source: &impl Source, process: &ProcessReader) -> Answer {
    let snapshot = source.snapshot().await;
    match pdw_metrics::text(&snapshot.metrics, &process.read()) {
        Ok(text) => typed(StatusCode::OK, pdw_metrics::CONTENT_TYPE, text),
        Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

fn readiness(upstreams: &[UpstreamState]) -> Answer {
    if upstreams.is_empty() {
        return plain(StatusCode::SERVICE_UNAVAILABLE, "not ready: no worker has answered\n".to_owned());
    }
    let missing: Vec<&UpstreamState> = upstreams.iter().filter(|upstream| !upstream.ready).collect();
    if missing.is_empty() {
        return plain(StatusCode::OK, "ok\n".to_owned());
    }
    let mut text = format!("not ready: {} of {} upstreams have no link that works\n", missing.len(), upstreams.len());
    for upstream in missing {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", upstream.name);
    }
    plain(StatusCode::SERVICE_UNAVAILABLE, text)
}

fn only_get() -> Answer {
    let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "Use GET or HEAD.\n".to_owned());
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

fn plain(status: StatusCode, text: String) -> Answer {
    typed(status, PLAIN, text)
}

fn typed(status: StatusCode, content_type: &'static str, text: String) -> Answer {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
