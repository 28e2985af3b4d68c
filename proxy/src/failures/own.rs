//! What happens to the proxy itself, and clients that stand in its way.

use super::fault::{Fault, both, pdwfs, redis};

const CLOSED: &str = "pdw_sessions_closed_total";

pub(super) const PROXY: &[Fault] = &[
    Fault {
        name: "The proxy stands still and goes on within the patience",
        note: "",
        cases: &[both("all", "its reply, late", "carried out once")],
        metrics: &["pdw_request_duration_seconds"],
        log: &[],
        tests: &[
            "failure::freeze::a_proxy_that_stands_still_costs_time_and_nothing_else",
            "lanes::long_replies::a_proxy_that_stood_still_itself_blames_nobody",
        ],
    },
    Fault {
        name: "The proxy stands still beyond the patience",
        note: "Nothing is sent past its deadline, whatever the proxy was doing when it stood still: the clock is read \
               before anything is written.",
        cases: &[
            both(
                "sent before",
                "its reply, if it is there when the proxy goes on; else **unknown**",
                "carried out once",
            ),
            both("waiting, or come meanwhile", "**not sent**", "nothing"),
            pdwfs("put aside because of an error", "the instance's error", "nothing"),
            pdwfs("lost with its link", "**unknown**: it is not repeated", "carried out once or not"),
        ],
        metrics: &["pdw_refusals_total", "pdw_replies_discarded_total"],
        log: &[],
        tests: &[
            "failure::freeze::a_proxy_that_stands_still_beyond_the_patience_costs_no_session",
            "failure::deadlines::what_came_while_the_proxy_stood_still_counts_from_before",
            "failure::deadlines::what_waits_in_a_proxy_that_stands_still_is_not_sent_late",
            "failure::deadlines::what_was_lost_is_not_repeated_after_its_deadline",
            "failure::deadlines::what_was_put_aside_is_not_tried_again_after_its_deadline",
        ],
    },
    Fault {
        name: "Users are changed and read again",
        note: "See [users](configuration.md#users). A file with mistakes changes nothing.",
        cases: &[
            both(
                "of who still may",
                "nothing of it; the new rules hold for requests that come from then on",
                "carried out once",
            ),
            both("of who is gone, or whose password is", "its reply; then the session is closed", "carried out once"),
            both("transaction before `EXEC`, rules changed", "`EXECABORT`", "nothing"),
        ],
        metrics: &["pdw_sessions_closed_total{reason=\"user\"}", "pdw_reload_successful"],
        log: &["configuration not taken, the old one stays in force"],
        tests: &[
            "acl::reload::who_still_may_goes_on_under_the_new_rules_and_the_others_are_closed",
            "acl::reload::a_file_with_mistakes_leaves_the_old_users_in_force_and_all_mistakes_are_told",
        ],
    },
    Fault {
        name: "Somebody guesses passwords",
        note: "After 8 wrong ones an address has to wait, a second first and 64 at last.",
        cases: &[
            both("`AUTH` meanwhile", "an error, the right password included", "nothing"),
            both("of who has authenticated", "nothing of it", "carried out once"),
        ],
        metrics: &["pdw_logins_failed_total", "pdw_logins_postponed_total"],
        log: &["further ones are counted, and after a few the address has to wait"],
        tests: &[
            "acl::attempts::ten_thousand_wrong_passwords_are_hardly_looked_at_and_told_once",
            "acl::attempts::after_a_while_the_right_password_is_good_again",
        ],
    },
    Fault {
        name: "The wall clock jumps",
        note: "All times are measured with a clock that does not.",
        cases: &[both("all", "nothing of it", "carried out once")],
        metrics: &[],
        log: &[],
        tests: &["style::nothing_is_measured_with_a_clock_that_jumps"],
    },
    Fault {
        name: "The proxy is told to end (SIGTERM)",
        note: "See [signals](configuration.md#signals).",
        cases: &[
            pdwfs(
                "all",
                "its reply; the session is served until its client leaves, or `times.drain` is over",
                "carried out once",
            ),
            redis("all", "its reply; a session that was silent for a second is closed", "carried out once"),
            both("what is left at the end of `times.drain`", "its connection is closed", "carried out once or not"),
        ],
        metrics: &["pdw_draining", "pdw_sessions_closed_total{reason=\"drain\"}"],
        log: &[
            "draining: sessions are served until they leave",
            "times.drain is over: sessions that are left are closed",
        ],
        tests: &[
            "drain::ends::under_pdwfs_an_idle_session_is_served_until_it_leaves",
            "drain::ends::under_redis_a_silent_session_is_closed_and_one_that_asks_is_not",
            "drain::ends::a_request_on_its_way_is_answered",
            "drain::ends::the_deadline_or_a_second_signal_ends_what_is_left",
            "drain::replaced::no_request_fails_when_a_proxy_is_replaced_on_its_port",
            "drain::replaced::no_request_fails_when_a_proxy_is_replaced_on_its_unix_socket",
        ],
    },
    Fault {
        name: "The proxy is killed",
        note: "It holds nothing that was acknowledged. Instances that it started itself end with it.",
        cases: &[
            both("unanswered", "its connection is closed", "carried out once or not"),
            both("large value, not all of it sent", "its connection is closed", "nothing"),
            both("transaction before `EXEC`", "its connection is closed", "nothing"),
            pdwfs("spooled value", "its connection is closed; nothing is left on the disk", "nothing, or carried out"),
        ],
        metrics: &[],
        log: &[],
        tests: &[
            "failure::killed::clients_see_their_connections_close_and_nothing_half_done_is_kept",
            "embedded::a_killed_proxy_leaves_nothing",
            "failure::spool::nothing_of_it_is_in_the_folder_even_while_it_is_kept",
        ],
    },
    Fault {
        name: "The disk of the spool is full, or fails",
        note: "Room is taken before the first byte of a large value, so a full disk shows before anything is lost. What is \
               told at the start is a folder that takes nothing at all.",
        cases: &[
            pdwfs("spooled value, none of it in its file", "passes as a large value", "as a large value"),
            pdwfs(
                "spooled value of which something is lost, transaction that needs more room",
                "`ERR the spool ... the request was not sent`; inside a transaction `EXEC`: `EXECABORT`",
                "nothing",
            ),
        ],
        metrics: &["pdw_spool_failures_total", "pdw_refusals_total{kind=\"spool_failed\"}"],
        log: &["the spool failed: large requests pass without it"],
        tests: &[
            "failure::spool::on_a_full_disk_large_requests_pass_as_without_a_spool",
            "failure::spool::a_transaction_that_the_disk_has_no_room_for_is_refused_and_not_sent",
            "failure::spool::a_folder_that_takes_nothing_is_told_at_the_start",
            "lanes::spool::where_no_file_can_be_made_it_passes_as_without_a_spool",
            "lanes::spool::a_file_that_fails_while_it_is_filled_costs_its_request_alone",
            "lanes::spool::a_transaction_whose_file_fails_is_not_carried_out",
        ],
    },
    Fault {
        name: "The spool is full (`limits.spool_max`)",
        note: "Each worker has its part of it. What is kept for one upstream, beyond its first request, is no more than \
               what is left for all others: one that is away does not take the room from the rest.",
        cases: &[
            pdwfs(
                "spooled value",
                "is not read until there is room; first come first served for each upstream",
                "nothing yet",
            ),
            pdwfs("spooled value of more than half of it", "passes as a large value", "as a large value"),
            pdwfs(
                "transaction that finds no room for its next command",
                "`ERR transaction is longer than what is left of the spool`; `EXEC`: `EXECABORT`",
                "nothing",
            ),
            pdwfs(
                "of a client that sends nothing of it for `times.stall_max`",
                "its session is closed, if others wait for room",
                "nothing",
            ),
        ],
        metrics: &[
            "pdw_limit_used{limit=\"spool_max\"}",
            "pdw_spool_files",
            "pdw_refusals_total{kind=\"spool_full\"}",
            "pdw_stalls_total",
        ],
        log: &[],
        tests: &[
            "failure::spool::an_instance_that_is_away_keeps_large_values_waiting_and_no_other",
            "lanes::spool::one_upstream_does_not_take_the_room_of_the_others",
            "lanes::spool::a_transaction_that_finds_no_more_room_is_refused",
            "lanes::spool::it_is_closed_when_others_wait_for_room",
        ],
    },
    Fault {
        name: "The ceiling on memory is near, or reached",
        note: "Near: three quarters of what `limits.memory_max` leaves for buffers. What is kept so that it can be sent \
               again has a limit of its own, `limits.retain_total`.",
        cases: &[
            both("all, near it", "sessions are read less far ahead, new ones turned away", "carried out once"),
            pdwfs("`limits.large_min` and more, near it", "is a large value", "as a large value"),
            both(
                "at it",
                "the session of the newest unfinished request is closed; without one, that for which the most is held",
                "nothing of the unfinished request",
            ),
            pdwfs("all, at `limits.retain_total`", "is not read until less is kept", "nothing yet"),
        ],
        metrics: &[
            "pdw_sheds_total",
            "pdw_sessions_closed_total{reason=\"memory\"}",
            "pdw_sessions_turned_away_total",
            "pdw_buffer_bytes{buffer=\"retained\"}",
            "pdw_limit_used{limit=\"memory_max\"}",
        ],
        log: &[],
        tests: &[
            "bad_input::sizes::many_requests_without_reading_do_not_fill_memory",
            "bad_input::sizes::announced_sizes_cost_no_memory_before_their_bytes_arrive",
            "large::greedy_clients::many_requests_just_below_the_threshold_that_never_end",
            "fuzz_corpus::every_session_input_passes",
            "peers::crowds::near_the_ceiling_little_waits_for_each_stream_and_at_it_the_newest_value_gives_way",
            "lanes::pressure::the_session_for_which_most_is_gathered_is_closed_at_the_ceiling_and_the_others_get_their_replies",
            "seals::crowds::records_that_never_become_whole_count_under_memory_max_and_their_senders_give_way",
            "large::memory::readers_that_could_not_be_foreseen",
            "large::memory::fifty_that_ask_for_stripes_and_never_read",
        ],
    },
];

pub(super) const CLIENTS: &[Fault] = &[
    Fault {
        name: "A client stops in the middle of a large value, or of a transaction with one",
        note: "",
        cases: &[
            both(
                "its own",
                "its session is closed, if others wait for its link for `times.stall_max`",
                "nothing of the value or transaction",
            ),
            both("others'", "wait so long at most", "carried out once"),
            pdwfs("spooled value", "nothing: it has no link yet, so it is in nobody's way", "nothing yet"),
        ],
        metrics: &["pdw_stalls_total", "pdw_sessions_closed_total{reason=\"stalled\"}"],
        log: &[],
        tests: &[
            "lanes::stalls::who_delivers_nothing_of_a_value_loses_its_lane_to_those_who_wait",
            "lanes::stalls::nothing_gets_between_the_commands_of_a_transaction_whose_client_is_slow",
            "lanes::lanes::a_session_that_goes_silent_with_a_lane_loses_it_when_others_wait",
            "large::broken_clients::more_clients_than_lanes_stand_still_and_the_others_go_on_within_stall_max",
            "failure::spool::a_client_that_stalls_in_a_value_holds_no_lane",
            "lanes::spool::a_session_that_stands_still_while_it_fills_its_file_holds_no_lane",
        ],
    },
    Fault {
        name: "A client does not read its replies",
        note: "",
        cases: &[
            both(
                "its own",
                "its session is not read while `limits.session_output_max` is exceeded",
                "carried out once",
            ),
            both(
                "its large reply",
                "its session is closed, if others wait for the link for `times.stall_max`",
                "it was read",
            ),
            both(
                "its own, for longer than `times.tcp_user_timeout`",
                "its connection is closed by the kernel, which knows no difference to one that is gone",
                "carried out once",
            ),
        ],
        metrics: &["pdw_stalls_total", "pdw_limit_used{limit=\"session_output_max\"}"],
        log: &[],
        tests: &[
            "lanes::long_replies::who_reads_nothing_of_a_long_reply_does_not_hold_up_those_behind_it",
            "failure::freeze::a_client_that_stands_still_gets_the_rest_of_its_reply",
            "large::memory::fifty_that_ask_for_what_could_not_be_foreseen_and_never_read",
            "large::greedy_clients::clients_that_pipeline_very_many_gets_and_never_read",
        ],
    },
    Fault {
        name: "A client's handshake fails, or does not end",
        note: "It is no session yet: the core does not know it. Of those that have begun, \
               `limits.handshakes_max` may be under way at a worker; others wait, unread. What handshakes and seals \
               hold counts under `limits.memory_max`.",
        cases: &[
            both("its own", "its connection is closed, after 5 s at most", "nothing"),
            both("others'", "nothing of it", "carried out once"),
        ],
        metrics: &["pdw_handshakes_total", "pdw_handshakes_in_progress"],
        log: &["not sealed: "],
        tests: &[
            "seals::hostile::a_handshake_that_stops_anywhere_is_closed_after_five_seconds_and_told_once",
            "seals::hostile::plain_resp_on_a_sealed_listener_and_the_reverse_are_closed_and_told_once",
            "seals::hostile::ten_thousand_clients_that_never_finish_stay_cheap_are_closed_and_hold_up_nobody",
            "seals::shared_keys::a_peer_that_stops_or_talks_nonsense_is_closed_and_told_once",
            "seals::crowds::a_crowd_in_the_middle_of_its_handshakes_is_closed_in_five_seconds_and_lets_others_in_meanwhile",
        ],
    },
    Fault {
        name: "What arrives on a sealed connection was tampered with",
        note: "Altered, repeated, left out, cut. What was opened before is good and is taken.",
        cases: &[
            both("a client's", "its connection is closed", "what was whole before is carried out"),
            both("a link's", "as when a link is lost", "as when a link is lost"),
        ],
        metrics: &["pdw_links_lost_total", CLOSED],
        log: &["not sealed: "],
        tests: &[
            "seals::hostile::garbage_in_a_handshake_and_forged_repeated_or_cut_records_cost_their_sender_its_connection_alone",
            "seals::tampered::requests_that_were_tampered_with_are_not_carried_out_and_cost_their_sender_its_connection_alone",
            "seals::tampered::replies_that_were_tampered_with_reach_nobody_and_the_link_is_opened_anew",
        ],
    },
    Fault {
        name: "A client is idle",
        note: "",
        cases: &[both("none", "nothing: no session is closed for being idle, but while the proxy drains", "nothing")],
        metrics: &["pdw_sessions"],
        log: &[],
        tests: &["failure::silence::no_session_is_closed_for_being_idle"],
    },
    Fault {
        name: "A client leaves before its reply",
        note: "One that closes its own direction alone gets its replies first. Of one that has closed both while it is \
               not read the proxy learns at once by a reset, and at a UNIX socket; else when it is read again, or when the \
               kernel has asked (`times.tcp_keepalive`) and the client's own kernel does not answer for it any more, \
               which Linux does for a minute.",
        cases: &[
            both("sent, or waiting", "it is gone", "carried out; the reply is discarded"),
            both("transaction before `EXEC`, unfinished large value", "it is gone", "nothing"),
            both("large value of which something is sent", "it is gone", "carried out, or nothing"),
            pdwfs("spooled value, whole", "it is gone", "carried out; the reply is discarded"),
        ],
        metrics: &["pdw_replies_discarded_total", CLOSED],
        log: &[],
        tests: &[
            "contract::a_client_that_ends_inside_a_transaction_leaves_nothing_behind",
            "failure::silence::a_client_that_is_gone_is_forgotten_though_its_session_waits",
            "failure::silence::a_client_that_has_closed_is_forgotten_though_its_session_waits",
            "failure::silence::a_client_that_has_closed_its_direction_gets_what_it_waits_for",
            "contract::a_lane_is_closed_when_its_client_is_lost_inside_a_transaction",
            "lanes::lanes::a_client_that_dies_before_exec_leaves_no_lane_inside_its_transaction",
            "large::broken_clients::clients_that_die_or_stand_still_before_exec",
            "lanes::spool::what_is_whole_is_sent_though_its_client_is_gone",
            "lanes::spool::a_transaction_whose_home_is_another_or_whose_client_leaves_is_never_sent",
        ],
    },
];
