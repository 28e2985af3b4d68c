//! What is told about users, in RESP.

use pdw_router::resp::write;

use super::rules::User;
use super::selector::SelectorRules;
use super::{Users, password};

impl User {
    /// `on`, `nopass` ...
    fn flags(&self) -> Vec<&'static str> {
        let enabled = if self.enabled { "on" } else { "off" };
        let nopass = self.nopass.then_some("nopass");
        std::iter::once(enabled).chain(nopass).chain(self.payload).collect()
    }

    /// The rules that make this user, without its passwords.
    pub(super) fn describe_rules(&self) -> String {
        let selectors = self.selectors.iter().map(|selector| format!(" ({})", selector.describe()));
        self.root.describe() + &selectors.collect::<String>()
    }

    /// The rules that make this user, in Redis's order; passwords as hashes.
    pub fn describe(&self) -> String {
        let passwords = self.passwords.iter().map(|hash| format!("#{}", password::to_hex(hash)));
        let words = self.flags().into_iter().map(str::to_owned).chain(passwords);
        words.chain([self.describe_rules()]).collect::<Vec<_>>().join(" ")
    }
}

/// `ACL LIST`
pub(super) fn list(users: &Users, out: &mut Vec<u8>) {
    bulks(out, users.iter().map(|(name, user)| format!("user {name} {}", user.describe())));
}

/// `ACL USERS`
pub(super) fn names(users: &Users, out: &mut Vec<u8>) {
    bulks(out, users.iter().map(|(name, _)| name.to_owned()));
}

/// `ACL GETUSER`
pub(super) fn user(user: Option<&User>, out: &mut Vec<u8>) {
    let Some(user) = user else { return write::nil(out) };
    write::array(out, 12);
    write::bulk(out, b"flags");
    bulks(out, user.flags().into_iter().map(str::to_owned));
    write::bulk(out, b"passwords");
    bulks(out, user.passwords.iter().map(password::to_hex));
    selector(&user.root, out);
    write::bulk(out, b"selectors");
    write::array(out, user.selectors.len());
    for one in &user.selectors {
        write::array(out, 6);
        selector(one, out);
    }
}

fn selector(rules: &SelectorRules, out: &mut Vec<u8>) {
    let (keys, channels) = (rules.key_words().join(" "), rules.channel_words().join(" "));
    for (name, text) in [("commands", rules.command_text()), ("keys", keys), ("channels", channels)] {
        write::bulk(out, name.as_bytes());
        write::bulk(out, text.as_bytes());
    }
}

fn bulks(out: &mut Vec<u8>, texts: impl Iterator<Item = String>) {
    let texts: Vec<String> = texts.collect();
    write::array(out, texts.len());
    texts.iter().for_each(|text| write::bulk(out, text.as_bytes()));
}
