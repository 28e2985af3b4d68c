//! Why a command is refused, and the sentence its client reads.

use super::CommandSpec;
use crate::resp::Request;

/// Why the proxy refuses a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Messages would arrive on a link that others share.
    Subscription,
    /// It would block the link; holds what to poll with.
    Blocking(&'static str),
    /// Optimistic locking is state of the link.
    Watch,
    /// It administers one instance.
    Admin,
    /// Its answer describes one instance.
    PerInstance,
    /// It turns the link into a stream of everybody's commands.
    Monitor,
    /// It concerns replication, or the replication of one connection's writes.
    Replication,
    /// The proxy shows one instance without cluster support.
    Cluster,
    /// It reaches a database other than 0.
    OtherDatabase,
    /// Users are the proxy's, and come from its configuration.
    Users,
    /// Client-side caching would send its invalidations to a link that others share.
    Tracking,
    /// Silence on a link would shift everybody's replies.
    ReplyMode,
    /// It acts on other clients of an instance, which are the proxy's links.
    OtherClients,
    /// It keeps state in its connection.
    ConnectionState,
    /// It touches keys that its arguments do not name.
    UnknownKeys,
    /// The server does not publish how replies of several shards are joined.
    Ungathered,
    /// It carries a flag that needs a row in the state table, and has none.
    Unlisted,
}

impl Reason {
    /// Whether the trouble is only that there are several shards: a group of one may forward the command.
    pub fn lifted_by_single_shard(self) -> bool {
        matches!(self, Reason::PerInstance | Reason::UnknownKeys | Reason::Ungathered)
    }

    /// Appends the error reply for a request of `spec`, CRLF included.
    ///
    /// It names the command as the client typed it.
    pub fn write(self, spec: &CommandSpec, request: &Request<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"-ERR ");
        if self != Reason::Cluster {
            write_typed_name(spec, request, out);
        }
        let (sentence, alternative) = self.sentence();
        out.extend_from_slice(sentence.as_bytes());
        out.extend_from_slice(alternative.as_bytes());
        out.extend_from_slice(b"\r\n");
    }

    /// What follows the command's name: what is wrong, and what to do instead.
    fn sentence(self) -> (&'static str, &'static str) {
        match self {
            Reason::Subscription => (
                " needs a connection of its own for messages, which pdw-proxy does not offer yet; ",
                "publish and subscribe at an instance directly",
            ),
            Reason::Blocking(alternative) => (
                " blocks its connection, which pdw-proxy shares between clients; \
                 connect to an instance directly, or poll with ",
                alternative,
            ),
            Reason::Watch => (
                " is state of a connection, which pdw-proxy shares between clients; ",
                "use a script (EVAL) or conditional commands such as SET with NX",
            ),
            Reason::Monitor => (" would show the commands of every client; ", "run it at an instance directly"),
            // Word for word what an instance without cluster support says: clients look for it.
            Reason::Cluster => ("This instance has cluster support disabled", ""),
            Reason::OtherDatabase => {
                (" reaches another database, pdw-proxy serves database 0 only; ", "use key prefixes")
            }
            Reason::Users => {
                (" changes users, which pdw-proxy has from its configuration; ", "edit them there and send it SIGHUP")
            }
            Reason::Tracking => (
                " needs a connection of its own for invalidations, which pdw-proxy does not offer yet; ",
                "turn client-side caching off",
            ),
            Reason::ReplyMode => (
                " would shift the replies of other clients on the same connection; ",
                "read and drop the replies instead",
            ),
            Reason::ConnectionState => (
                " keeps state in its connection, which pdw-proxy shares between clients; ",
                "run it at an instance directly",
            ),
            _ => self.sentence_about_instances(),
        }
    }

    fn sentence_about_instances(self) -> (&'static str, &'static str) {
        match self {
            Reason::OtherClients => {
                (" acts on connections of an instance, which belong to pdw-proxy; ", "run it at the instance directly")
            }
            Reason::Admin => (" administers one instance; ", "run it at that instance directly"),
            Reason::PerInstance => (" describes one instance, and there are several; ", "ask each instance directly"),
            Reason::Replication => (" concerns the replication of one instance; ", "run it at that instance directly"),
            Reason::UnknownKeys => (
                " touches keys that its arguments do not name, so they may lie on another instance; ",
                "use a hash tag and EVAL with the keys named, or an instance directly",
            ),
            Reason::Ungathered => {
                (" has no rule to join the replies of several instances; ", "ask each instance directly")
            }
            _ => (" is not among the commands that may share a connection; ", "run it at an instance directly"),
        }
    }
}

/// `'BLPOP'`, `'CLIENT KILL'`: as typed, for what was typed is in the table and therefore harmless.
fn write_typed_name(spec: &CommandSpec, request: &Request<'_>, out: &mut Vec<u8>) {
    out.push(b'\'');
    out.extend_from_slice(request.arg(0));
    if spec.container().is_some() {
        out.push(b' ');
        out.extend_from_slice(request.arg(1));
    }
    out.push(b'\'');
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Arguments;
    use crate::command::{Reason, Table, Treatment};

    /// The refusal a client reads, or what is done instead of refusing.
    fn answer(text: &str) -> Result<String, Treatment> {
        let (table, arguments) = (Table::new(), Arguments::new(text));
        let spec = table.spec(table.resolve(&arguments.request()).unwrap());
        match spec.treatment_of(&arguments.request()) {
            Treatment::Refused(reason) => {
                let mut out = Vec::new();
                reason.write(spec, &arguments.request(), &mut out);
                Ok(String::from_utf8(out).unwrap())
            }
            other => Err(other),
        }
    }

    #[test]
    fn a_refusal_names_the_command_as_it_was_typed_and_what_to_do() {
        let text = "-ERR 'BLpop' blocks its connection, which pdw-proxy shares between clients; \
                    connect to an instance directly, or poll with LPOP\r\n";
        assert_eq!(answer("BLpop k 0"), Ok(text.to_owned()));
        assert!(answer("client Kill 1.2.3.4:5").unwrap().starts_with("-ERR 'client Kill' acts on"));
    }

    #[test]
    fn clients_that_look_for_a_cluster_read_what_redis_says() {
        let text = Ok("-ERR This instance has cluster support disabled\r\n".to_owned());
        for request in ["CLUSTER SLOTS", "CLUSTER HELP", "cluster info", "READONLY", "ASKING"] {
            assert_eq!(answer(request), text, "{request}");
        }
    }

    #[test]
    fn an_option_may_be_refused_where_the_command_is_not() {
        for refused in
            ["XREAD block 0 STREAMS s 0", "XREADGROUP GROUP g c BLOCK 0 STREAMS s >", "COPY a b REPLACE DB 1"]
        {
            assert!(answer(refused).is_ok(), "{refused}");
        }
        let forwarded =
            ["XREAD STREAMS BLOCK 0", "XREADGROUP GROUP BLOCK c STREAMS s >", "COPY a DB DB 0", "COPY DB b"];
        for forwarded in forwarded {
            assert_eq!(answer(forwarded), Err(Treatment::Forward), "{forwarded}");
        }
    }

    #[test]
    fn every_refusal_is_one_line_that_offers_something() {
        let table = Table::new();
        for spec in table.iter() {
            let Treatment::Refused(reason) = spec.treatment else { continue };
            let mut out = Vec::new();
            reason.write(spec, &Arguments::new(&spec.name.replace('|', " ")).request(), &mut out);
            let text = String::from_utf8(out).unwrap();
            assert_eq!(text.find("\r\n"), Some(text.len() - 2), "{text}");
            assert!(text.contains("; ") || reason == Reason::Cluster, "{text}");
            assert!(text.len() < 220, "{text}");
        }
    }
}
