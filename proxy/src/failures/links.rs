//! Instances that are away, and links that break.

use super::fault::{Fault, both, pdwfs, redis};

const UP: &str = "pdw_upstream_up";
const LOST: &str = "pdw_links_lost_total";
const RECONNECTS: &str = "pdw_link_reconnects_total";
const UNREACHABLE: &str = "no connection can be made; is it running at this address?";

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "It is down when the proxy starts",
        note: "The proxy starts all the same; `/readyz` answers 503 until every upstream has a link.",
        cases: &[
            pdwfs("all", "waits; **not sent** after `times.patience`", "nothing"),
            pdwfs(
                "large value, spooled value",
                "is not read: its client waits in TCP, for as long as it takes",
                "nothing",
            ),
            redis("all", "**not sent**, at once when a first attempt to connect has failed", "nothing"),
        ],
        metrics: &[UP, RECONNECTS],
        log: &[UNREACHABLE],
        tests: &[
            "failure::instances::an_instance_that_is_down_at_the_start_is_waited_for_under_pdwfs",
            "failure::instances::an_instance_that_is_down_at_the_start_is_told_under_redis",
            "failure::deadlines::at_the_deadline_clients_hear_whether_anything_was_sent",
            "lanes::lanes::profile_redis_refuses_a_large_value_for_an_upstream_that_is_away",
            "lanes::spool::while_its_upstream_is_away_a_client_waits_in_tcp",
        ],
    },
    Fault {
        name: "It refuses the proxy's password, or wants one",
        note: "Links authenticate before anything else. A corrected password is taken by SIGHUP.",
        cases: &[
            pdwfs("all", "waits; **not sent** after `times.patience`", "nothing"),
            redis("all", "**not sent**, at once when a first attempt has failed", "nothing"),
        ],
        metrics: &[UP, RECONNECTS],
        log: &[
            "it refuses this proxy's user and password; correct `user`, `password_file` or `password_env`",
            "it wants a password; give this upstream `password_file` or `password_env`",
            "it knows of no password; remove `password_file` or `password_env` of this upstream",
        ],
        tests: &[
            "acl::upstreams::a_wrong_password_is_told_with_the_remedy_and_a_corrected_file_is_read_again",
            "acl::upstreams::no_password_where_one_is_wanted_and_one_where_none_is_are_told",
        ],
    },
    Fault {
        name: "A link to it cannot be sealed",
        note: "Another key, a certificate that has expired or is for another name, no answer to the handshake within \
               `times.connect_timeout`, or no seal at all at the far end. Why is logged once a minute. Nothing is sent \
               before the handshake is done.",
        cases: &[
            pdwfs("all", "waits; **not sent** after `times.patience`", "nothing"),
            redis("all", "**not sent**", "nothing"),
        ],
        metrics: &["pdw_handshakes_total", UP],
        log: &["its handshake failed; the log says why, once a minute", "not sealed: "],
        tests: &[
            "seals::tls_upstream::an_instance_whose_certificate_is_not_what_it_should_be_gets_nothing_and_the_log_says_why",
            "seals::tls_upstream::an_instance_without_tls_is_told_from_one_with_it",
            "seals::shared_keys::another_key_is_refused_and_two_are_taken_while_one_replaces_the_other",
            "seals::shared_keys::a_weak_end_is_refused_where_the_other_is_strict",
        ],
    },
    Fault {
        name: "Its link is lost before a request was sent",
        note: "Not sent: no byte of it was written to the link. A transaction is sent at its `EXEC`, in one piece.",
        cases: &[
            pdwfs("all", "nothing of it: the request goes by the next link, within `times.patience`", "nothing"),
            redis("all", "**not sent**; at once while no connection can be made", "nothing"),
            redis("transaction before `EXEC`", "nothing of it, if there is a link at `EXEC`", "nothing"),
        ],
        metrics: &[LOST, RECONNECTS],
        log: &["it closed the connection", "reading or writing failed", UNREACHABLE],
        tests: &[
            "failure::repeats::a_session_keeps_its_order_when_its_links_are_lost",
            "failure::connections::while_the_port_is_closed_requests_are_refused_at_once_and_nothing_else",
            "failure::transactions::a_client_that_waits_at_every_command_meets_the_loss_at_exec_only",
        ],
    },
    Fault {
        name: "Its link is lost after a request was sent",
        note: "Sent: a first byte of it was written. Before anything else is sent in the link's place, the instance is \
               told to forget it (`CLIENT KILL`, the fence), under either profile.",
        cases: &[
            pdwfs("read", "its reply, asked for again", "it was read once or twice"),
            pdwfs("repeatable write", "its reply; an integer in it may differ, see below", "carried out once or twice"),
            pdwfs("other write", "**unknown**", "carried out once or not"),
            pdwfs("transaction", "as the worst of its commands; it is repeated whole", "all of it, or nothing"),
            pdwfs("large value, not all of it sent", "**closed**, perhaps after **unknown**", "nothing"),
            pdwfs("large value, all of it sent", "**unknown**", "carried out once or not"),
            pdwfs("spooled value", "as a small request, or transaction, of its kind", "as with that"),
            redis("all", "**unknown**", "carried out once or not; a transaction whole or not"),
            redis(
                "large value, not all of it sent",
                "**unknown**; the rest is skipped, and the session lives on; `EXEC`: `EXECABORT`",
                "nothing",
            ),
        ],
        metrics: &[
            LOST,
            "pdw_repeats_total{reply=\"same\"}",
            "pdw_repeats_total{reply=\"may_differ\"}",
            "pdw_fences_total{outcome=\"confirmed\"}",
        ],
        log: &["it closed the connection", "reading or writing failed"],
        tests: &[
            "failure::repeats::what_makes_the_same_state_is_repeated_and_counted",
            "failure::repeats::what_would_make_another_state_is_not_repeated",
            "failure::repeats::a_stripe_is_written_again_and_a_transaction_that_counts_is_not",
            "failure::repeats::a_reply_or_a_request_cut_at_any_byte_is_made_good",
            "failure::repeats::two_sessions_with_requests_on_one_lost_link_both_get_their_own",
            "failure::large::a_value_that_is_retained_is_sent_again",
            "failure::large::a_spooled_value_is_sent_again_and_nobody_sees_an_error",
            "failure::large::with_a_spool_no_writer_sees_that_the_links_of_stripes_are_cut",
            "lanes::spool::a_lost_request_is_sent_again_from_its_first_byte_when_the_fence_is_confirmed",
            "lanes::spool::what_counts_is_sent_again_only_if_nothing_of_it_was_sent",
            "lanes::spool::an_option_behind_the_value_makes_it_unrepeatable",
            "failure::large::under_pdwfs_a_value_that_is_not_retained_costs_its_session_which_is_counted",
            "failure::large::under_redis_it_is_refused_and_its_session_lives_on",
            "failure::large::stripes_whose_links_are_cut_are_never_torn_and_broken_sessions_are_counted",
            "failure::connections::a_request_cut_at_any_byte_is_answered_once_and_carried_out_or_not",
            "failure::transactions::a_transaction_whose_link_is_reset_is_carried_out_whole_or_not_at_all",
            "failure::fence::a_link_that_only_the_proxy_thinks_lost_is_closed_at_the_instance",
        ],
    },
    Fault {
        name: "Its link is lost within a reply",
        note: "",
        cases: &[
            both("reply of which nothing was handed on", "as when the link is lost after sending", "carried out"),
            both("large reply, begun", "**closed**: a reply is never begun again", "carried out"),
        ],
        metrics: &[LOST],
        log: &["it closed the connection", "reading or writing failed"],
        tests: &[
            "failure::connections::a_reply_cut_at_any_byte_is_no_answer_and_harms_no_other",
            "failure::repeats::a_reply_or_a_request_cut_at_any_byte_is_made_good",
            "failure::large::a_reply_of_which_something_has_left_is_never_begun_again",
            "lanes::woven::an_upstream_lost_in_a_woven_reply_closes_its_session_only_if_something_left",
            "lanes::woven::a_part_that_is_lost_before_anything_left_is_asked_for_again_under_pdwfs",
        ],
    },
    Fault {
        name: "Its links are lost again and again",
        note: "Each attempt waits longer than the one before, from `times.reconnect_min` to `times.reconnect_max`, a \
               random half of it, so that proxies do not come back in step.",
        cases: &[
            pdwfs("all", "as above; **unknown** or **not sent** after `times.patience`", "as above"),
            redis("all", "as above", "as above"),
        ],
        metrics: &[RECONNECTS],
        log: &[UNREACHABLE],
        tests: &[
            "failure::bad_replies::a_link_that_is_lost_again_and_again_is_tried_again_with_pauses",
            "lanes::lanes::the_operator_is_told_once_why_an_upstream_is_down",
        ],
    },
    Fault {
        name: "It restarts with its data",
        note: "What an instance forgets that it has acknowledged (`appendfsync` other than `always`) no proxy knows.",
        cases: &[
            pdwfs(
                "up to `limits.retain_max`, spooled value",
                "a pause, and what the loss of a link shows; `LOADING` is waited out",
                "as when the link is lost",
            ),
            pdwfs("large value", "as when the link is lost", "as when the link is lost"),
            redis("all", "**unknown**, **not sent** and `LOADING` until it is back", "as when the link is lost"),
        ],
        metrics: &[UP, LOST, "pdw_retries_total{kind=\"LOADING\"}"],
        log: &[UNREACHABLE, "it refuses PING (it is loading, or its ACL does not allow PING to this user)"],
        tests: &[
            "failure::crash::under_pdwfs_no_client_sees_that_an_instance_was_killed",
            "failure::crash::under_redis_every_request_is_answered_once_and_in_time",
            "failure::crash::stripes_are_never_wrong_and_every_broken_session_is_counted",
            "failure::crash::with_a_spool_no_writer_sees_that_an_instance_was_killed_in_the_middle_of_a_stripe",
            "failure::crash::requests_to_other_instances_keep_their_pace",
            "failure::held_errors::a_load_on_an_instance_that_restarts_and_loads_sees_no_error",
        ],
    },
    Fault {
        name: "It restarts without its data",
        note: "Nothing tells a proxy that data is gone. The instances that it starts itself keep nothing on disk.",
        cases: &[
            both("read", "what an empty instance says: nil, 0, `NOSCRIPT`", "its data is gone"),
            both("write", "as when the link is lost; it goes to the empty instance", "only what came later is there"),
        ],
        metrics: &[LOST],
        log: &[UNREACHABLE, "embedded instance {index} answers again, empty"],
        tests: &[
            "failure::instances::an_instance_that_restarts_empty_is_empty_and_no_session_is_lost",
            "embedded::a_killed_instance_comes_back_at_its_address",
        ],
    },
    Fault {
        name: "The network swallows packets (black hole)",
        note: "A link that owes a reply and says nothing for `times.probe_after` gets nothing more, and a fresh \
               connection is tried beside it. If that is answered and the link still silent, it takes the link's \
               place, and what was sent counts as lost. Requests for other instances are not concerned.",
        cases: &[
            pdwfs("all", "waits; goes on within a second of the network's return", "as when the link is lost"),
            pdwfs(
                "all, after `times.patience`",
                "**unknown** if sent, else **not sent**",
                "carried out once or not; never later than the fence",
            ),
            redis(
                "all",
                "**unknown** once the fresh connection cannot be made, then **not sent** at once",
                "carried out once or not",
            ),
            both("large value, in the middle", "**closed** after `times.link_dead`", "nothing"),
            pdwfs(
                "spooled value, in the middle",
                "after `times.link_dead` it is sent again; **unknown** when that lasts longer than `times.patience`",
                "as when the link is lost",
            ),
        ],
        metrics: &["pdw_link_silences_total", "pdw_links{state=\"silent\"}", UP],
        log: &[
            "it could not be connected and proven within times.connect_timeout",
            "it was silent while a fresh connection was answered",
            "nothing arrived for times.link_dead",
        ],
        tests: &[
            "failure::silence::a_black_hole_is_told_of_once_and_so_is_its_end",
            "failure::silence::after_a_black_hole_work_goes_on_within_a_second",
            "failure::silence::a_silent_link_is_replaced_when_a_fresh_one_answers",
            "failure::silence::swallowed_bytes_are_made_good",
            "failure::repeats::a_reply_of_which_a_half_came_before_silence_is_asked_for_again",
            "failure::circuit::one_of_four_is_gone_and_the_others_lose_nothing_under_pdwfs",
            "failure::circuit::one_of_four_is_gone_and_the_others_lose_nothing_under_redis",
            "failure::fence::a_write_that_arrives_late_overwrites_nothing",
            "failure::fence::no_version_goes_back_while_paths_are_lost_and_found",
            "failure::spool::no_version_of_a_stripe_goes_back_while_paths_are_lost_and_found",
            "lanes::stalls::an_instance_that_takes_nothing_for_too_long_is_given_up",
        ],
    },
    Fault {
        name: "A link is half open: its other end is gone and did not say so",
        note: "An idle link is tried with a `PING` every `times.ping_interval`, and given up after `times.link_dead` of \
               silence.",
        cases: &[
            pdwfs("all", "as in a black hole: a fresh connection takes over", "as when the link is lost"),
            redis("all", "**unknown** when the link is given up or replaced", "carried out once or not"),
        ],
        metrics: &[LOST, "pdw_link_silences_total"],
        log: &["it was silent while a fresh connection was answered", "nothing arrived for times.link_dead"],
        tests: &[
            "failure::connections::a_half_open_link_with_unanswered_requests_is_given_up",
            "failure::connections::an_idle_half_open_link_is_found_before_a_request_needs_it",
        ],
    },
    Fault {
        name: "It is slow",
        note: "",
        cases: &[both("all", "its reply, late; nobody else's is", "carried out once")],
        metrics: &["pdw_request_duration_seconds", "pdw_link_silences_total"],
        log: &[],
        tests: &[
            "failure::silence::a_slow_instance_is_not_taken_for_a_lost_one",
            "failure::connections::a_slow_instance_is_slow_and_nobody_else_is",
            "failure::connections::a_throttled_value_arrives_whole_and_small_requests_pass_it",
        ],
    },
    Fault {
        name: "It stands still (SIGSTOP, swapping) and goes on within the patience",
        note: "Its kernel still takes connections, but a fresh one is answered no sooner than the old, so nothing is \
               replaced.",
        cases: &[both("all", "its reply, late", "carried out once, when it goes on")],
        metrics: &["pdw_link_silences_total", "pdw_requests_in_flight"],
        log: &[],
        tests: &[
            "failure::freeze::an_instance_that_stands_still_costs_time_and_nothing_else",
            "large::standing::an_instance_that_stands_still_costs_nobody_a_connection",
            "lanes::stalls::an_instance_that_takes_nothing_is_not_its_clients_fault",
        ],
    },
    Fault {
        name: "It stands still beyond the patience, and wakes",
        note: "",
        cases: &[
            both(
                "all",
                "**unknown** if sent, else **not sent**, after `times.patience`; the late reply is discarded",
                "what was sent is carried out when it wakes; if the link was given up by then, perhaps not, but never after something newer",
            ),
            both(
                "large value",
                "waits on until `times.link_dead`; then **unknown** if all of it was sent, else **closed**",
                "as above, or nothing",
            ),
            pdwfs(
                "spooled value",
                "waits on until `times.link_dead`, then as when the link is lost; one that had no link yet: **not sent**, `times.patience` after the last sign of life of those that had",
                "as above",
            ),
        ],
        metrics: &["pdw_replies_discarded_total", "pdw_link_silences_total"],
        log: &["nothing arrived for times.link_dead"],
        tests: &[
            "failure::freeze::an_instance_that_stands_still_beyond_the_patience_costs_no_session",
            "failure::instances::a_frozen_instance_is_answered_for_in_time_and_its_late_reply_is_nobodys",
            "failure::connections::a_stalled_link_costs_its_requests_a_deadline_and_no_session_its_order",
            "lanes::lanes::an_instance_that_does_not_answer_a_large_value_is_given_up",
            "lanes::spool::a_request_that_waits_for_a_lane_has_time_as_long_as_others_are_taken",
        ],
    },
];
