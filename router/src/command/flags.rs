//! Words that Redis publishes about commands, as sets of bits; the names are Redis's in upper case.

bitflags::bitflags! {
    /// Command flags, third element of `COMMAND`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Flags: u32 {
        /// May change data.
        const WRITE = 1;
        /// Never changes data.
        const READONLY = 1 << 1;
        /// Refused by an instance that is out of memory.
        const DENYOOM = 1 << 2;
        /// Comes from a module.
        const MODULE = 1 << 3;
        /// Administers the instance.
        const ADMIN = 1 << 4;
        /// Concerns subscriptions.
        const PUBSUB = 1 << 5;
        /// Not allowed in scripts, mostly because it changes its connection.
        const NOSCRIPT = 1 << 6;
        /// May block its connection.
        const BLOCKING = 1 << 7;
        /// Allowed while the instance loads its data.
        const LOADING = 1 << 8;
        /// Allowed on a replica with stale data.
        const STALE = 1 << 9;
        /// Not shown to `MONITOR`.
        const SKIP_MONITOR = 1 << 10;
        /// Not in the slow log (Redis).
        const SKIP_SLOWLOG = 1 << 11;
        /// Not in the command log (Valkey).
        const SKIP_COMMANDLOG = 1 << 12;
        /// Implies `ASKING`.
        const ASKING = 1 << 13;
        /// Constant or logarithmic time.
        const FAST = 1 << 14;
        /// Allowed before authentication.
        const NO_AUTH = 1 << 15;
        /// May replicate though it is no write.
        const MAY_REPLICATE = 1 << 16;
        /// Key arguments are optional.
        const NO_MANDATORY_KEYS = 1 << 17;
        /// Refused while the instance loads asynchronously.
        const NO_ASYNC_LOADING = 1 << 18;
        /// Not allowed inside a transaction.
        const NO_MULTI = 1 << 19;
        /// Key positions cannot be told from first, last and step alone.
        const MOVABLEKEYS = 1 << 20;
        /// Allowed while a script runs for too long.
        const ALLOW_BUSY = 1 << 21;
    }

    /// Access control categories, seventh element of `COMMAND`, without their `@`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Categories: u32 {
        /// `@keyspace`
        const KEYSPACE = 1;
        /// `@read`
        const READ = 1 << 1;
        /// `@write`
        const WRITE = 1 << 2;
        /// `@set`
        const SET = 1 << 3;
        /// `@sortedset`
        const SORTEDSET = 1 << 4;
        /// `@list`
        const LIST = 1 << 5;
        /// `@hash`
        const HASH = 1 << 6;
        /// `@string`
        const STRING = 1 << 7;
        /// `@bitmap`
        const BITMAP = 1 << 8;
        /// `@hyperloglog`
        const HYPERLOGLOG = 1 << 9;
        /// `@geo`
        const GEO = 1 << 10;
        /// `@stream`
        const STREAM = 1 << 11;
        /// `@pubsub`
        const PUBSUB = 1 << 12;
        /// `@admin`
        const ADMIN = 1 << 13;
        /// `@fast`
        const FAST = 1 << 14;
        /// `@slow`
        const SLOW = 1 << 15;
        /// `@blocking`
        const BLOCKING = 1 << 16;
        /// `@dangerous`
        const DANGEROUS = 1 << 17;
        /// `@connection`
        const CONNECTION = 1 << 18;
        /// `@transaction`
        const TRANSACTION = 1 << 19;
        /// `@scripting`
        const SCRIPTING = 1 << 20;
    }

    /// What is done to the keys of a [`KeySpec`].
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct KeyFlags: u16 {
        /// Read and written.
        const RW = 1;
        /// Read only.
        const RO = 1 << 1;
        /// Overwritten.
        const OW = 1 << 2;
        /// Removed.
        const RM = 1 << 3;
        /// Its data are returned or copied.
        const ACCESS = 1 << 4;
        /// Its data are changed, depending on what they were.
        const UPDATE = 1 << 5;
        /// Data are added, nothing that was there is changed.
        const INSERT = 1 << 6;
        /// Data are deleted.
        const DELETE = 1 << 7;
        /// No key at all: a channel name that happens to be hashed.
        const NOT_KEY = 1 << 8;
        /// The spec does not find every key.
        const INCOMPLETE = 1 << 9;
        /// The other flags depend on the arguments.
        const VARIABLE_FLAGS = 1 << 10;
    }

    /// Tips that are neither a request nor a response policy.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Hints: u8 {
        /// The same request may be answered differently with the same data.
        const NONDETERMINISTIC_OUTPUT = 1;
        /// The same elements may come in another order.
        const NONDETERMINISTIC_OUTPUT_ORDER = 1 << 1;
    }
}
