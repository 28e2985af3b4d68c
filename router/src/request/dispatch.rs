//! What becomes of one whole request: look it up, then forward, answer, hold or refuse it.

use crate::command::info::parse_commands;
use crate::command::{CommandId, Transaction, Treatment, Unknown, looks_like_http};
use crate::large::bulk::Cut;
use crate::link::part::Target;
use crate::order::SessionKey;
use crate::peer::fence::is_fence;
use crate::peer::hello;
use crate::place::Shard;
use crate::refusal::Refusal;
use crate::request::plan::{self, Plan};
use crate::request::split::concerned;
use crate::resp::{Request, write};
use crate::router::{Setup, Traffic};
use crate::session::{Flow, Pause};
use crate::stats::CloseReason;

/// Names that an upstream was asked about; more are not remembered at once.
const UNKNOWN_MAX: usize = 1024;
/// No command has a longer name, so none is asked about.
const NAME_MAX: usize = 64;

impl Traffic {
    /// Handles one whole request of a session.
    pub(crate) fn request(&mut self, setup: &Setup, session: SessionKey, request: Request<'_>) -> Flow {
        let id = match setup.table.resolve(&request) {
            Ok(id) => id,
            Err(why) => return self.unresolved(setup, session, &request, why),
        };
        let Some(asking) = self.sessions.get(session) else { return Flow::Next };
        let (holds, allowed) = (asking.held.is_some(), asking.who.waves_through(id, &request));
        let flow = if !allowed && !self.admits(setup, session, id, &request) {
            Flow::Next
        } else if holds {
            self.queue(setup, session, id, &request)
        } else {
            self.treat(setup, session, id, &request)
        };
        if flow == Flow::Next {
            self.stats.count_request(id.index());
        }
        flow
    }

    fn treat(&mut self, setup: &Setup, session: SessionKey, id: CommandId, request: &Request<'_>) -> Flow {
        match self.treatment(setup, id, request) {
            Treatment::Forward | Treatment::Gathered(_) => return self.forward(setup, session, id, request),
            Treatment::Local(local) => self.answer_locally(setup, session, local, request),
            Treatment::Transaction(Transaction::Multi) => self.begin_transaction(setup, session, request),
            Treatment::Transaction(Transaction::Exec) => self.refuse_as_redis(setup, session, "ERR EXEC without MULTI"),
            Treatment::Transaction(Transaction::Discard) => {
                self.refuse_as_redis(setup, session, "ERR DISCARD without MULTI");
            }
            Treatment::Refused(_) => self.refuse_command(setup, session, id, request),
        }
        Flow::Next
    }

    /// What is done with a command here: a group of one shard lifts some refusals.
    pub(crate) fn treatment(&self, setup: &Setup, id: CommandId, request: &Request<'_>) -> Treatment {
        match setup.table.spec(id).treatment_of(request) {
            Treatment::Refused(why) if why.lifted_by_single_shard() && setup.homes.shards() == 1 => Treatment::Forward,
            treatment => treatment,
        }
    }

    fn forward(&mut self, setup: &Setup, session: SessionKey, id: CommandId, request: &Request<'_>) -> Flow {
        let mut scratch = std::mem::take(&mut self.scratch);
        let any = self.any_shard(setup, session);
        let flow = match plan::plan(setup, setup.table.spec(id), request, any, &mut scratch) {
            Ok(plan) if setup.has_peers() => {
                let concerned = concerned(setup, plan, &scratch, any);
                self.send_to_peer(setup, session, request, concerned)
            }
            Ok(Plan::One(shard)) if self.is_large_read(setup, setup.table.spec(id), request) => {
                self.read_on_lane(setup, session, shard, request)
            }
            Ok(plan) => self.carry_out(setup, session, request, plan, &mut scratch),
            Err(why) => {
                self.refuse(setup, session, &why);
                Flow::Next
            }
        };
        self.scratch = scratch;
        flow
    }

    /// The shard for a session's requests without keys: always the same, so that they stay in order.
    pub(crate) fn any_shard(&self, setup: &Setup, session: SessionKey) -> Shard {
        Shard((self.session_number(session) % setup.homes.shards() as u64) as u16)
    }

    /// Answers with the sentence of the state table.
    pub(crate) fn refuse_command(&mut self, setup: &Setup, session: SessionKey, id: CommandId, request: &Request<'_>) {
        let spec = setup.table.spec(id);
        let Treatment::Refused(why) = spec.treatment_of(request) else { return };
        self.stats.refusals[Refusal::Unsupported(String::new()).kind()] += 1;
        self.answer_new(setup, session, |out| why.write(spec, request, out));
    }

    /// Answers as Redis would.
    pub(crate) fn refuse_as_redis(&mut self, setup: &Setup, session: SessionKey, text: &'static str) {
        self.refuse(setup, session, &Refusal::AsRedis(text.into()));
    }

    /// A request that the table cannot place. About a command that it lacks the upstream is asked
    /// once; then it is known, or known to be unknown.
    fn unresolved(&mut self, setup: &Setup, session: SessionKey, request: &Request<'_>, why: Unknown) -> Flow {
        if is_fence(request) {
            self.accept_fence(setup, session, request);
            return Flow::Next;
        }
        if hello::is_hello(request) {
            self.accept_hello(setup, session, request);
            return Flow::Next;
        }
        if why == Unknown::Command && looks_like_http(request) {
            // A browser was made to send this; as Redis does, say nothing.
            self.finish_session(setup, session, CloseReason::Protocol);
            return Flow::Next;
        }
        if let Some(name) = missing_name(request, why).filter(|name| self.may_ask(session, name)) {
            self.look_up(setup, session, name);
            return Flow::Again;
        }
        let ends_transaction = matches!(why, Unknown::Arity(id) if is_exec(setup, id));
        if ends_transaction {
            self.answer_held(setup, session);
            self.drop_transaction(setup, session);
        }
        self.stats.unknown_requests += 1;
        self.stats.refusals[Refusal::AsRedis("".into()).kind()] += 1;
        self.doom_transaction(setup, session);
        self.answer_new(setup, session, |out| why.write(&setup.table, request, out));
        Flow::Next
    }

    /// Asks an upstream about the command of an unfinished request, if the table lacks it.
    pub(crate) fn ask_about_head(&mut self, setup: &Setup, key: SessionKey, head: &Request<'_>, why: Unknown) -> Cut {
        let whole = why == Unknown::Command || head.spans.len() > 1;
        let name = missing_name(head, why).filter(|name| whole && self.may_ask(key, name));
        name.map_or(Cut::No, |name| {
            self.look_up(setup, key, name);
            self.pause(key, Pause::Waiting);
            Cut::Wait
        })
    }

    /// Whether an upstream is to be asked about a command: nobody makes it answer who has not said who he is.
    fn may_ask(&self, session: SessionKey, name: &[u8]) -> bool {
        !self.unknown.contains(name) && !self.is_outside(session)
    }

    fn look_up(&mut self, setup: &Setup, session: SessionKey, name: Vec<u8>) {
        if self.lookups.join(&name, session) {
            return;
        }
        let lookup = self.last_id;
        let mut text = Vec::new();
        write::request(&mut text, 3, [b"COMMAND".as_slice(), b"INFO", &name].into_iter());
        self.lookups.begin(lookup, name, session);
        let link = if setup.has_peers() { self.control_stream(setup) } else { self.control_link(setup, 0) };
        self.send_own(setup, link, Target::Table(lookup), |out| out.extend_from_slice(&text));
    }

    /// The upstream has told what it knows of a command.
    pub(crate) fn looked_up(&mut self, lookup: u64, reply: &[u8]) {
        let Some((name, waiting)) = self.lookups.end(lookup) else { return };
        self.learned.push((name, reply.to_vec()));
        self.resumable.extend(waiting);
    }

    /// Notes that an upstream was asked about a command. If it knew it, so does the table by now.
    pub(crate) fn note_asked(&mut self, name: Vec<u8>) {
        if self.unknown.len() >= UNKNOWN_MAX {
            self.unknown.clear();
        }
        self.unknown.insert(name);
    }
}

/// The name to ask the upstream about, in lower case, as COMMAND INFO writes it.
fn missing_name(request: &Request<'_>, why: Unknown) -> Option<Vec<u8>> {
    let name = match why {
        // A bar would name a subcommand, which cannot be called this way.
        Unknown::Command if request.arg(0).contains(&b'|') => return None,
        Unknown::Command => request.arg(0).to_ascii_lowercase(),
        Unknown::Subcommand => [request.arg(0), b"|", request.arg(1)].concat().to_ascii_lowercase(),
        Unknown::Arity(_) => return None,
    };
    (name.len() <= NAME_MAX).then_some(name)
}

fn is_exec(setup: &Setup, id: CommandId) -> bool {
    setup.table.spec(id).treatment == Treatment::Transaction(Transaction::Exec)
}

impl Setup {
    /// Adds what an upstream says of a command, if it says anything.
    pub(crate) fn learn(&mut self, name: &[u8], reply: &[u8]) {
        let found = parse_commands(reply).ok().and_then(|mut all| all.pop().flatten());
        // What cannot be learned stays unknown, and is answered so.
        let _ = found.map(|info| self.table.learn(name, info));
    }
}
