//! What becomes of one whole request: look it up, then forward, answer, hold or refuse it.

use crate::command::info::parse_commands;
use crate::command::{CommandId, Transaction, Treatment, Unknown};
use crate::link::Target;
use crate::order::SessionKey;
use crate::place::Shard;
use crate::plan;
use crate::refusal::Refusal;
use crate::resp::{Request, write};
use crate::router::{Setup, Traffic};
use crate::session::Flow;

/// Names no upstream knows; more are not remembered at once.
const UNKNOWN_MAX: usize = 1024;
/// No command has a longer name, so none is asked about.
const NAME_MAX: usize = 64;

impl Traffic {
    /// Handles one whole request of a session.
    pub(crate) fn request(&mut self, setup: &Setup, session: SessionKey, request: Request<'_>) -> Flow {
        let id = match setup.table.resolve(&request) {
            Ok(id) => id,
            Err(Unknown::Command) => return self.unknown_command(setup, session, &request),
            Err(why) => return self.unresolved(setup, session, &request, why),
        };
        let flow = if self.holds_transaction(session) {
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
        let id = self.sessions.get(session).map_or(0, |session| session.id);
        Shard((id % setup.homes.shards() as u64) as u16)
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

    fn unresolved(&mut self, setup: &Setup, session: SessionKey, request: &Request<'_>, why: Unknown) -> Flow {
        self.stats.unknown_requests += 1;
        self.stats.refusals[Refusal::AsRedis("".into()).kind()] += 1;
        self.doom_transaction(session);
        self.answer_new(setup, session, |out| why.write(&setup.table, request, out));
        Flow::Next
    }

    /// A command that the table lacks: ask the upstream once, then it is known, or known to be unknown.
    fn unknown_command(&mut self, setup: &Setup, session: SessionKey, request: &Request<'_>) -> Flow {
        let name = request.arg(0).to_ascii_lowercase();
        if name.len() > NAME_MAX || self.unknown.contains(&name) {
            return self.unresolved(setup, session, request, Unknown::Command);
        }
        self.look_up(setup, session, name);
        Flow::Again
    }

    fn look_up(&mut self, setup: &Setup, session: SessionKey, name: Vec<u8>) {
        if let Some((_, waiting)) = self.lookups.values_mut().find(|(known, _)| *known == name) {
            if !waiting.contains(&session) {
                waiting.push(session);
            }
            return;
        }
        let lookup = self.last_id;
        let mut text = Vec::new();
        write::request(&mut text, 3, [b"COMMAND".as_slice(), b"INFO", &name].into_iter());
        self.lookups.insert(lookup, (name, vec![session]));
        let link = self.control_link(setup, 0);
        self.send_on(setup, link, Target::Table(lookup), |out| out.extend_from_slice(&text));
    }

    /// The upstream has told what it knows of a command.
    pub(crate) fn looked_up(&mut self, lookup: u64, reply: &[u8]) {
        let Some((name, waiting)) = self.lookups.remove(&lookup) else { return };
        self.learned.push((name, reply.to_vec()));
        self.resumable.extend(waiting);
    }

    /// Notes that no upstream knows a command.
    pub(crate) fn note_unknown(&mut self, name: Vec<u8>) {
        if self.unknown.len() >= UNKNOWN_MAX {
            self.unknown.clear();
        }
        self.unknown.insert(name);
    }
}

impl Setup {
    /// Adds what an upstream says of a command; whether there was anything to add.
    pub(crate) fn learn(&mut self, name: &[u8], reply: &[u8]) -> bool {
        let found = parse_commands(reply).ok().and_then(|mut all| all.pop().flatten());
        found.is_some_and(|info| self.table.learn(name, info).is_ok())
    }
}
