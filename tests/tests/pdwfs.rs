//! Replayed pdwfs traffic: the proxy puts every byte where pdwfs's own ring puts it.

mod pdwfs {
    mod mixed;
    mod placement;
    mod replay;
    mod spread;
    mod wrong_rules;
}
