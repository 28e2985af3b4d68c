//! Commands are a table, not code: generated from what real servers publish, plus one hand-written state table.
