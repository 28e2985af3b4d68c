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
    /// Access control lists are the proxy's, which has no users yet.
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
                (" manages users, which pdw-proxy does not have yet; ", "set them at each instance directly")
            }
            Reason::Tracking => (
                " needs a connection of its own for invalidations, which pdw-proxy does not offer yet; ",
                "turn client-side caching off",
            ),
            Reason::ReplyMode => (
                " would shift the replies of other clients on the same connection; ",
                "read and drop the replies instead",
            ),
            Reason::OtherClients => {
                (" acts on connections of an instance, which belong to pdw-proxy; ", "run it at the instance directly")
            }
            Reason::ConnectionState => (
                " keeps state in its connection, which pdw-proxy shares between clients; ",
                "run it at an instance directly",
            ),
            _ => self.sentence_about_instances(),
        }
    }

    fn sentence_about_instances(self) -> (&'static str, &'static str) {
        match self {
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
