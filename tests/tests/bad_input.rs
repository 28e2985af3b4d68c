//! Input that is not as it should be: Redis's own errors, bounded memory, and everybody else unharmed.

mod bad_input {
    mod protocol;
    mod sizes;
    mod upstreams;
}
