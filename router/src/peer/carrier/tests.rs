use super::*;

const GRANT: Grant = Grant { stream: 100, link: 250 };

fn carrier() -> Carrier<u8> {
    Carrier::new(GRANT, GRANT)
}

#[test]
fn a_number_is_free_again_when_both_ends_have_closed() {
    let (mut opener, mut accepter) = (carrier(), carrier());
    let one = opener.number(1);
    accepter.admit(one, 11);
    opener.close(one);
    assert_eq!(opener.lead(one), Ok(Some(Lead::Gone)), "frames of the other end may be on their way");
    assert_eq!(opener.number(2), StreamId(2));
    assert_eq!(accepter.closed(one), Ok(Some(11)));
    assert_eq!(accepter.lead(one), Ok(None));
    assert_eq!(opener.closed(one), Ok(None));
    assert_eq!(opener.number(3), one);
}

#[test]
fn numbers_that_cannot_be_are_refused() {
    let mut accepter = carrier();
    assert_eq!(accepter.lead(StreamId(2)), Err(FrameError::Stream(2)));
    assert_eq!(accepter.lead(StreamId(0)), Err(FrameError::Stream(0)));
    assert_eq!(accepter.closed(StreamId(1)), Err(FrameError::Stream(1)));
    accepter.admit(StreamId(1), 1);
    accepter.close(StreamId(1));
    assert_eq!(accepter.closed(StreamId(1)), Ok(None));
    assert_eq!(accepter.closed(StreamId(1)), Err(FrameError::Stream(1)), "closed twice");
}

#[test]
fn part_of_a_links_credit_is_left_to_who_has_little() {
    let mut carrier = carrier();
    let end: StreamEnd<u8> = StreamEnd { credit: 1_000, ..carrier.new_end(0, Some(StreamId(1))) };
    assert!(carrier.is_much(7) && !carrier.is_much(6));
    assert_eq!(carrier.allowance(&end, 1_000, true), 188);
    carrier.credit = 62;
    assert_eq!((carrier.allowance(&end, 1_000, true), carrier.allowance(&end, 6, false)), (0, 6));
    carrier.queue_again(1, true);
    carrier.queue(2);
    assert_eq!((carrier.next_ready(), carrier.next_ready()), (Some(2), None));
    carrier.add_credit(1);
    assert_eq!(carrier.next_ready(), Some(1));
}

#[test]
fn where_half_of_a_links_credit_is_used_up_who_has_much_may_have_little_lie_at_the_other_end() {
    let mut carrier = carrier();
    let mut end: StreamEnd<u8> = carrier.new_end(0, Some(StreamId(1)));
    carrier.credit = 126;
    assert_eq!(carrier.allowance(&end, 1_000, true), 64, "but for what is reserved");
    carrier.credit = 125;
    assert_eq!((carrier.allowance(&end, 1_000, true), carrier.allowance(&end, 1_000, false)), (6, 100));
    carrier.spend(&mut end, 6);
    assert!(!carrier.may_send(&end, true) && carrier.may_send(&end, false));
    end.credit += 3;
    assert_eq!(carrier.allowance(&end, 1_000, true), 3);
}

#[test]
fn little_of_what_nobody_takes_does_not_count_on_the_link() {
    let mut carrier = carrier();
    let mut ends: Vec<StreamEnd<u8>> = (0..100).map(|_| carrier.new_end(0, Some(StreamId(1)))).collect();
    ends.iter_mut().for_each(|end| carrier.received(Some(end), 6).unwrap());
    assert_eq!(carrier.owed(), 0);
    ends.iter_mut().take(2).for_each(|end| carrier.received(Some(end), 94).unwrap());
    assert_eq!(carrier.owed(), 188);
    carrier.taken(Some(&mut ends[0]), 60);
    assert_eq!(carrier.owed(), 128);
    for end in &mut ends {
        let owed = end.window.owed();
        carrier.taken(Some(end), owed);
    }
    assert_eq!((carrier.owed(), ends[0].window.owed()), (0, 0));
}

#[test]
fn credit_bounds_what_is_sent_on_a_stream_and_on_the_link() {
    let mut carrier = carrier();
    let mut ends: Vec<StreamEnd<u8>> = (0..3).map(|_| carrier.new_end(0, Some(StreamId(1)))).collect();
    for (end, most) in ends.iter_mut().zip([100, 100, 50]) {
        assert_eq!(carrier.allowance(end, 1000, false), most);
        carrier.spend(end, most);
        assert_eq!(carrier.allowance(end, 1000, false), 0);
    }
    carrier.add_credit(10);
    assert_eq!(carrier.allowance(&ends[2], 1000, false), 10);
    assert_eq!(carrier.allowance(&ends[0], 1000, false), 0);
}
