//! What is kept of a request that is not whole, or has to wait.

use super::Session;
use super::backlog::Backlog;
use crate::resp::RequestScan;

/// A request that is not whole, or waits to be looked at, and what follows it.
#[derive(Debug, Default)]
pub(crate) struct Partial {
    pub(super) backlog: Backlog,
    pub(super) scan: RequestScan,
}

impl Session {
    /// Bytes of requests that are not whole, or wait to be looked at.
    pub(crate) fn request_bytes(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| partial.backlog.memory())
    }

    /// Memory of what is noted of its requests: where arguments lie, what the commands of a transaction are.
    pub(crate) fn record_bytes(&self) -> usize {
        let scan = self.partial.as_ref().map_or(0, |partial| partial.scan.memory());
        scan + self.held.as_ref().map_or(0, |held| held.record_bytes())
    }
}

#[cfg(test)]
mod tests {
    use crate::limits::Limits;
    use crate::order::{Input, SessionKey};
    use crate::peer::frame::{self, StreamId};
    use crate::rig;
    use crate::router::{Profile, Router};
    use crate::time::Time;

    fn send(router: &mut Router, session: SessionKey, bytes: &[u8]) -> usize {
        router.handle(Time::default(), Input::SessionBytes(session, bytes));
        router.holding().record_bytes
    }

    #[test]
    fn where_arguments_lie_counts_while_it_is_needed_and_is_not_kept_after_it() {
        let (mut router, _) = rig::router();
        let session = router.open_session(Time::default());
        let head = ["*100001\r\n$4\r\nECHO\r\n".to_owned(), "$0\r\n\r\n".repeat(99_999)].concat();
        assert!(send(&mut router, session, head.as_bytes()) >= 800_000);
        send(&mut router, session, b"$0\r\n\r\n");
        assert!(router.session_output(session).starts_with(b"-ERR wrong number"));
        let next = send(&mut router, session, b"*1\r\n$4\r\nPI");
        assert!(next < 10_000, "{next} bytes are kept for one argument");
    }

    #[test]
    fn what_a_session_leaves_behind_its_last_request_is_nothing_to_the_next_session() {
        let mut router = rig::unconnected(1, Limits { session_pending_max: 1, ..Limits::default() });
        let link = rig::connected(&mut router);
        let quits = router.open_session(Time::default());
        send(&mut router, quits, &["GET a\r\nGET a\r\nQUIT\r\n", &"PING\r\n".repeat(20)].concat().into_bytes());
        for _ in 0..2 {
            rig::written(&mut router, link);
            router.handle(Time::default(), Input::LinkBytes(link, b"$-1\r\n"));
        }
        assert_eq!(router.session_output(quits), b"$-1\r\n$-1\r\n+OK\r\n");
        let next = router.open_session(Time::default());
        send(&mut router, next, b"PI");
        send(&mut router, next, b"NG\r\n");
        assert_eq!(router.session_output(next), b"+PONG\r\n");
    }

    #[test]
    fn what_is_noted_of_commands_counts() {
        let (mut router, _) = rig::router();
        let [one, other] = [(); 2].map(|()| router.open_session(Time::default()));
        let before = router.holding().record_bytes;
        let queued = send(&mut router, one, &["MULTI\n", &"PING\n".repeat(1000)].concat().into_bytes()) - before;
        assert!(queued >= 16 * 1000, "{queued} bytes are noted of a transaction");
        let asked = send(&mut router, other, "GET a\n".repeat(100).as_bytes()) - before - queued;
        assert!(asked >= 64 * 100, "{asked} bytes are noted of requests");
    }

    #[test]
    fn an_error_repeats_little_of_what_the_client_said() {
        let (mut router, _) = rig::router();
        let session = router.open_session(Time::default());
        let head = b"*3\r\n$5\r\nHELLO\r\n$1\r\n2\r\n$60000\r\n";
        send(&mut router, session, &[&head[..], &[0xff; 60_000], b"\r\n"].concat());
        let reply = router.session_output(session);
        assert!(reply.starts_with(b"-ERR Syntax error") && reply.len() < 1000, "{} bytes", reply.len());
    }

    /// How many arguments were found in what is kept of a session's requests, however often.
    fn found(router: &Router, session: SessionKey) -> usize {
        let session = router.traffic().sessions.get(session).unwrap();
        session.partial.as_ref().unwrap().scan.found
    }

    #[test]
    fn a_request_that_waits_for_many_others_is_looked_at_again_once() {
        const SHARDS: usize = 60;
        let mut router = rig::of_profile(Profile::Pdwfs, SHARDS, Limits::default());
        let links: Vec<_> = (0..SHARDS).map(|_| rig::connected(&mut router)).collect();
        let session = router.open_session(Time::default());
        let found = |router: &Router| found(router, session);
        // A key of each shard, and then all of them many times.
        let keys: Vec<String> = (0..10_000).map(|key| key.to_string()).collect();
        let placement = rig::homes(SHARDS);
        for shard in 0..SHARDS {
            let lives = |key: &&String| placement.placement().home(key.as_bytes()).index() == shard;
            let key = keys.iter().find(lives).unwrap();
            send(&mut router, session, format!("GET {key}\r\n").as_bytes());
        }
        let args = keys.iter().map(|key| format!("${}\r\n{key}\r\n", key.len()));
        let request = format!("*{}\r\n$4\r\nMGET\r\n{}", keys.len() + 1, args.collect::<String>());
        send(&mut router, session, request.as_bytes());
        let (last, others) = links.split_last().unwrap();
        let before = found(&router);
        for link in links.iter() {
            rig::written(&mut router, *link);
        }
        for link in others {
            router.handle(Time::default(), Input::LinkBytes(*link, b"$-1\r\n"));
            assert_eq!(rig::written(&mut router, *link), b"");
        }
        assert_eq!(found(&router), before, "it is looked at again though it has to wait");
        router.handle(Time::default(), Input::LinkBytes(*last, b"$-1\r\n"));
        assert!(links.iter().all(|link| !rig::written(&mut router, *link).is_empty()), "it was sent");
    }

    #[test]
    fn requests_that_are_read_one_by_one_are_not_moved_for_each() {
        let mut router = rig::of_profile(Profile::Pdwfs, 1, Limits::default());
        let link = rig::connected(&mut router);
        let session = router.open_session(Time::default());
        let all = "GET a\r\n".repeat(5_000);
        send(&mut router, session, all.as_bytes());
        let (mut answered, mut moved) = (0, 0);
        while !rig::written(&mut router, link).is_empty() {
            answered += 1;
            router.handle(Time::default(), Input::LinkBytes(link, b"$-1\r\n"));
            let session = router.traffic().sessions.get(session).unwrap();
            moved = session.partial.as_ref().map_or(moved, |partial| partial.backlog.moved);
        }
        assert_eq!(answered, 5_000);
        assert!(moved <= all.len(), "{moved} bytes were moved");
    }

    #[test]
    fn what_waits_on_a_stream_is_not_moved_for_each_bit_that_is_read() {
        let limits = Limits { stream_window: 8 << 20, ..Limits::default() };
        let mut router = rig::of_profile(Profile::Pdwfs, 1, limits);
        let link = rig::connected(&mut router);
        let carrier = router.open_session(Time::default());
        send(&mut router, carrier, b"PDW.HELLO 4 node=x incarnation=y stream=100000 link=100000\r\n");
        let all = ["GET ", &"k".repeat(40_000), "\r\n"].concat().repeat(100);
        for part in all.as_bytes().chunks(60_000) {
            let mut wire = Vec::new();
            frame::write_data(&mut wire, StreamId(1), None, part);
            send(&mut router, carrier, &wire);
        }
        let (mut answered, mut moved) = (0, 0);
        while !rig::written(&mut router, link).is_empty() {
            answered += 1;
            router.handle(Time::default(), Input::LinkBytes(link, b"$-1\r\n"));
            let mut carried = router.traffic().sessions.values().filter_map(|session| session.carried.as_ref());
            moved = moved.max(carried.next().unwrap().inbox.moved);
        }
        assert_eq!(answered, 100);
        assert!(moved <= all.len(), "{moved} bytes were moved");
    }
}
