//! Whatever one session sends, another one on the same link keeps getting its own replies, in its own database.

mod isolation {
    mod naive;
    mod suspects;
    mod witness;

    use std::io;
    use std::time::Duration;

    use pdw_tests::address::Address;
    use pdw_tests::connection::{Connection, encode};
    use pdw_tests::instance::{Instance, Server, addresses};
    use pdw_tests::proxy::Launch;

    use suspects::{Suspect, suspects};
    use witness::Witness;

    /// How long the sender of a suspect waits for what comes back.
    const WAIT: Duration = Duration::from_secs(3);

    /// How a suspect is sent.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Way {
        Bare,
        InsideMulti,
    }

    /// Sends each suspect, in all `ways`, while the witness works; collects what went wrong.
    fn trouble(address: &Address, instance: &Instance, list: &[Suspect], ways: &[Way]) -> io::Result<Vec<String>> {
        let mut witness = Witness::start(address, instance)?;
        let settings = instance.connect()?.demand(&["CONFIG", "GET", "*"])?;
        let mut found = Vec::new();
        for suspect in list {
            for way in ways {
                if let Err(error) = one(address, suspect, *way, &mut witness) {
                    found.push(format!("{suspect:?}, {way:?}: {error}"));
                    match Witness::start(address, instance) {
                        Ok(fresh) => witness = fresh,
                        Err(error) => return Ok([found, vec![format!("afterwards: {error}")]].concat()),
                    }
                }
            }
        }
        if instance.connect()?.demand(&["CONFIG", "GET", "*"])? != settings {
            found.push("the instance's configuration changed".to_owned());
        }
        Ok(found)
    }

    fn one(address: &Address, suspect: &Suspect, way: Way, witness: &mut Witness) -> io::Result<()> {
        let mut session = Connection::open_with(address, WAIT)?;
        witness.send(40)?;
        session.send(&request(suspect, way))?;
        witness.send(40)?;
        let answered = wait_for_marker(&mut session, way);
        witness.check()?;
        answered
    }

    fn request(suspect: &Suspect, way: Way) -> Vec<u8> {
        let command = encode(&suspect.words);
        let marker = encode(&["ECHO", "marker"]);
        if way == Way::Bare {
            return [command, marker].concat();
        }
        let set = encode(&["SET", "suspect", "x"]);
        [encode(&["MULTI"]), set, command, encode(&["EXEC"]), marker].concat()
    }

    /// The sender itself must get on too: up to the marker, or to the end of its connection.
    fn wait_for_marker(session: &mut Connection, way: Way) -> io::Result<()> {
        loop {
            match session.receive() {
                Ok(reply) if reply.value.bytes() == b"marker" => return Ok(()),
                // The marker itself is queued behind a bare MULTI.
                Ok(reply) if reply.value.bytes() == b"QUEUED" && way == Way::Bare => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    return Err(io::Error::other("its sender waits for ever"));
                }
                Err(_) => return Ok(()),
            }
        }
    }

    #[test]
    fn no_command_outside_the_allow_set_reaches_another_session() -> io::Result<()> {
        for server in Server::found() {
            let instances = [Instance::start_with(&server, &["--databases", "16"])?];
            let list = suspects(&mut instances[0].connect()?)?;
            assert!(list.len() > 80, "{} suspects only", list.len());
            let proxy = Launch::new("redis", &addresses(&instances)).start()?;
            let found = trouble(proxy.address(), &instances[0], &list, &[Way::Bare, Way::InsideMulti])?;
            assert!(found.is_empty(), "{}:\n{}", server.name, found.join("\n"));
        }
        Ok(())
    }

    #[test]
    fn a_proxy_that_forwards_everything_is_caught() -> io::Result<()> {
        let harmless: [&[&str]; 4] = [&["PING"], &["ECHO", "x"], &["EVAL", "return 1", "0"], &["CLIENT", "ID"]];
        assert_eq!(caught(&harmless)?, Vec::<String>::new());
        let harmful: [&[&str]; 5] = [
            &["SELECT", "1"],
            &["MULTI"],
            &["SUBSCRIBE", "c"],
            &["CLIENT", "SETNAME", "mine"],
            &["CLIENT", "NO-EVICT", "on"],
        ];
        for words in harmful {
            assert!(!caught(&[words])?.is_empty(), "{words:?} was not noticed");
        }
        Ok(())
    }

    fn caught(list: &[&[&str]]) -> io::Result<Vec<String>> {
        let instance = Instance::start_with(&Server::redis(), &["--databases", "16"])?;
        let list: Vec<_> = list.iter().map(|words| Suspect::new(words)).collect();
        trouble(&naive::start(instance.address())?, &instance, &list, &[Way::Bare])
    }
}
