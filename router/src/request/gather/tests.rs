use super::*;

fn joined(join: Join, order: &[u16], replies: &[&str]) -> Result<String, Refusal> {
    let mut gather = Gather { order: order.to_vec(), ..Gather::default() };
    gather.start(join, replies.len(), replies.len());
    // The last part first: arrival order must not matter.
    for (part, reply) in replies.iter().enumerate().rev() {
        assert_eq!(gather.accept(part as u16, reply.as_bytes()), part == 0);
    }
    let mut out = Vec::new();
    gather.finish(&mut out).map(|()| String::from_utf8(out).unwrap())
}

#[test]
fn integers_by_policy() {
    let replies = [":3\r\n", ":1\r\n", ":0\r\n"];
    assert_eq!(joined(Join::Sum, &[], &replies).unwrap(), ":4\r\n");
    assert_eq!(joined(Join::Min, &[], &replies).unwrap(), ":0\r\n");
    assert_eq!(joined(Join::Max, &[], &replies).unwrap(), ":3\r\n");
    assert_eq!(joined(Join::And, &[], &replies).unwrap(), ":0\r\n");
    assert_eq!(joined(Join::Or, &[], &replies).unwrap(), ":1\r\n");
    assert_eq!(joined(Join::Sum, &[], &[":1\r\n", "+OK\r\n"]), Err(Refusal::Disagreement));
}

#[test]
fn a_sum_that_is_too_large_is_a_disagreement() {
    let most = ":9223372036854775807\r\n";
    assert_eq!(joined(Join::Sum, &[], &[most, ":1\r\n"]), Err(Refusal::Disagreement));
    assert_eq!(joined(Join::Count, &[0, 1], &[most, most]), Err(Refusal::Disagreement));
    assert_eq!(joined(Join::Sum, &[], &[most, ":0\r\n"]).unwrap(), most);
}

#[test]
fn nothing_is_written_of_replies_that_do_not_fit() {
    let mut gather = Gather { order: vec![0, 1, 1], ..Gather::default() };
    gather.start(Join::Interleave, 2, 2);
    gather.accept(0, b"*1\r\n:1\r\n");
    gather.accept(1, b"*1\r\n:2\r\n");
    let mut out = b"+before\r\n".to_vec();
    assert_eq!(gather.finish(&mut out), Err(Refusal::Disagreement));
    assert_eq!(out, b"+before\r\n");
}

#[test]
fn what_was_to_be_woven_and_lost_a_link_is_joined_like_any_other() {
    let mut gather = Gather { order: vec![0, 1], ..Gather::default() };
    gather.start(Join::Interleave, 2, 2);
    gather.accept(0, b"*1\r\n$1\r\na\r\n");
    assert!(gather.flow(1, LinkKey::default()) && gather.begin_weaving());
    gather.dry_up(1);
    assert!(gather.accept(1, b"*1\r\n$1\r\nb\r\n"));
    let mut out = Vec::new();
    gather.finish(&mut out).unwrap();
    assert_eq!(out, b"*2\r\n$1\r\na\r\n$1\r\nb\r\n");
}

#[test]
fn however_many_parts_are_to_be_woven_each_key_is_looked_at_once() {
    const PARTS: u16 = 2_000;
    let mut gather = Gather { order: (0..PARTS).chain(0..PARTS).collect(), ..Gather::default() };
    gather.start(Join::Interleave, usize::from(PARTS), usize::from(PARTS));
    for part in 1..PARTS {
        gather.accept(part, b"*2\r\n$-1\r\n$-1\r\n");
    }
    assert!(gather.may_flow(0, 2) && gather.flow(0, LinkKey::default()) && gather.begin_weaving());
    assert_eq!(gather.looks, 2 * usize::from(PARTS));
}

#[test]
fn errors_win_except_where_one_success_is_enough() {
    let replies = ["+OK\r\n", "-ERR no\r\n"];
    assert_eq!(joined(Join::AllSucceeded, &[], &replies).unwrap(), "-ERR no\r\n");
    assert_eq!(joined(Join::OneSucceeded, &[], &["-ERR no\r\n", "+OK\r\n"]).unwrap(), "+OK\r\n");
    assert_eq!(joined(Join::Sum, &[], &[":1\r\n", "-OOM\r\n"]).unwrap(), "-OOM\r\n");
}

#[test]
fn arrays_element_by_element() {
    let replies = ["*2\r\n:1\r\n:1\r\n", "*2\r\n:1\r\n:0\r\n"];
    assert_eq!(joined(Join::And, &[], &replies).unwrap(), "*2\r\n:1\r\n:0\r\n");
}

#[test]
fn keys_come_back_in_the_order_asked() {
    let replies = ["*2\r\n$1\r\na\r\n$-1\r\n", "*1\r\n$1\r\nb\r\n"];
    let all = joined(Join::Interleave, &[0, 1, 0], &replies).unwrap();
    assert_eq!(all, "*3\r\n$1\r\na\r\n$1\r\nb\r\n$-1\r\n");
}

#[test]
fn a_union_has_each_element_once() {
    let replies = ["*2\r\n$1\r\na\r\n$1\r\nb\r\n", "*1\r\n$1\r\na\r\n", "*0\r\n"];
    assert_eq!(joined(Join::Union, &[], &replies).unwrap(), "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
}

#[test]
fn a_spread_key_counts_once() {
    let replies = [":1\r\n", ":1\r\n", ":0\r\n", ":2\r\n"];
    assert_eq!(joined(Join::Count, &[1, 1, 2, 0], &replies).unwrap(), ":3\r\n");
}

#[test]
fn cursors_walk_through_all_shards() {
    for (inner, shard) in [(0, 0), (17, 0), (0, 1), (17, 2)] {
        let outer = outer_cursor(inner, shard, 3).unwrap();
        let expected = if inner == 0 { ((shard + 1) as u16, 0) } else { (shard as u16, inner) };
        assert_eq!(inner_cursor(outer, 3), expected);
    }
    assert_eq!(outer_cursor(0, 2, 3), Some(0));
    assert_eq!(outer_cursor(u64::MAX, 2, 3), None);
}
