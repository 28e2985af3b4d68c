//! What makes the rows of the page true: each with the deliberate fault that switches it off, and a test that fails then.

/// A fault's mechanism.
#[derive(Clone, Copy, Debug)]
pub struct Mechanism {
    /// The fault of the page, by its name.
    pub fault: &'static str,
    /// The deliberate fault that switches it off, as `PDW_MUTANT` takes it.
    pub switched_off: &'static str,
    /// A test that fails then, as `binary::module::name`.
    pub test: &'static str,
}

const fn row(fault: &'static str, switched_off: &'static str, test: &'static str) -> Mechanism {
    Mechanism { fault, switched_off, test }
}

/// Faults that have no mechanism that could be switched off, and why.
pub(super) const WITHOUT: [(&str, &str); 1] =
    [("The wall clock jumps", "a clock that jumps is asked for nothing but the time of day")];

/// The mechanisms, in the order of the page.
pub const MECHANISMS: [Mechanism; 52] = [
    row(
        "It is down when the proxy starts",
        "unkept",
        "failure::instances::an_instance_that_is_down_at_the_start_is_waited_for_under_pdwfs",
    ),
    row(
        "It refuses the proxy's password, or wants one",
        "unproven",
        "acl::upstreams::a_wrong_password_is_told_with_the_remedy_and_a_corrected_file_is_read_again",
    ),
    row(
        "A link to it cannot be sealed",
        "links-unsealed",
        "seals::tls_upstream::an_instance_without_tls_is_told_from_one_with_it",
    ),
    row(
        "Its link is lost before a request was sent",
        "slow-to-refuse",
        "failure::connections::while_the_port_is_closed_requests_are_refused_at_once_and_nothing_else",
    ),
    row(
        "Its link is lost after a request was sent",
        "unkept",
        "failure::repeats::what_makes_the_same_state_is_repeated_and_counted",
    ),
    row(
        "Its link is lost after a request was sent",
        "repeated-anything",
        "failure::repeats::what_would_make_another_state_is_not_repeated",
    ),
    row(
        "Its link is lost after a request was sent",
        "missing-fence",
        "failure::fence::a_link_that_only_the_proxy_thinks_lost_is_closed_at_the_instance",
    ),
    row(
        "Its link is lost within a reply",
        "begun-again",
        "failure::large::a_reply_of_which_something_has_left_is_never_begun_again",
    ),
    row(
        "Its links are lost again and again",
        "eager-reconnect",
        "failure::bad_replies::a_link_that_is_lost_again_and_again_is_tried_again_with_pauses",
    ),
    row(
        "It restarts with its data",
        "unkept",
        "failure::held_errors::a_load_on_an_instance_that_restarts_and_loads_sees_no_error",
    ),
    row(
        "It restarts without its data",
        "loss-closes-sessions",
        "failure::instances::an_instance_that_restarts_empty_is_empty_and_no_session_is_lost",
    ),
    row(
        "The network swallows packets (black hole)",
        "silence-unnoticed",
        "failure::silence::a_silent_link_is_replaced_when_a_fresh_one_answers",
    ),
    row(
        "A link is half open: its other end is gone and did not say so",
        "unpinged",
        "failure::connections::an_idle_half_open_link_is_found_before_a_request_needs_it",
    ),
    row("It is slow", "silence-is-loss", "failure::silence::a_slow_instance_is_not_taken_for_a_lost_one"),
    row(
        "It stands still (SIGSTOP, swapping) and goes on within the patience",
        "impatient",
        "failure::freeze::an_instance_that_stands_still_costs_time_and_nothing_else",
    ),
    row(
        "It stands still beyond the patience, and wakes",
        "without-deadline",
        "failure::instances::a_frozen_instance_is_answered_for_in_time_and_its_late_reply_is_nobodys",
    ),
    row("It says that it cannot just now", "unkept", "failure::held_errors::a_request_waits_until_the_trouble_is_over"),
    row("Its disk is full", "unkept", "failure::held_errors::on_a_full_disk_requests_wait_for_room"),
    row(
        "It answers with another error",
        "every-error-passes",
        "failure::held_errors::every_other_error_is_handed_on_at_once",
    ),
    row(
        "What it sends is not RESP",
        "junk-handed-on",
        "failure::bad_replies::nonsense_in_the_place_of_a_reply_loses_the_link_and_no_request",
    ),
    row("It sends a reply to nothing", "unasked-kept", "failure::connections::a_reply_to_nothing_shifts_no_other"),
    row(
        "It is no Redis, or wants a password",
        "unproven",
        "bad_input::upstreams::what_is_not_redis_fails_its_own_requests_only",
    ),
    row(
        "It forbids `CLIENT KILL` or `CLIENT INFO`, or it is a proxy",
        "missing-fence",
        "failure::repeats::without_the_right_to_fence_only_reads_are_repeated_and_the_log_says_so",
    ),
    row(
        "It forbids `MULTI`",
        "trusts-multi",
        "bad_input::upstreams::without_multi_a_transaction_is_refused_at_its_start",
    ),
    row(
        "Its name cannot be looked up",
        "address-forgotten",
        "operation::names::a_name_that_cannot_be_looked_up_keeps_its_last_address_and_is_told_of_once",
    ),
    row(
        "Its name, or the file that was read again, gives another address",
        "move-ignored",
        "operation::reload::an_upstream_that_keeps_its_name_and_place_is_followed_to_its_new_address",
    ),
    row(
        "The upstreams that are configured have another order, other names or weights",
        "any-upstreams-taken",
        "operation::reload::another_list_of_upstreams_is_refused_unless_forced_and_then_sessions_keep_what_they_began_with",
    ),
    row(
        "The connection between two proxies is lost, and both live",
        "position-ignored",
        "trees::resumed::what_is_on_a_link_that_is_cut_is_done_once_and_clients_that_handle_errors_see_none",
    ),
    row(
        "A peer is gone, another one is there",
        "share-stays",
        "trees::spines::the_share_of_a_spine_that_is_killed_moves_over_and_comes_back",
    ),
    row(
        "A peer is gone, another one is there",
        "unkept",
        "trees::spines::what_a_spine_took_with_it_is_sent_again_behind_a_fence",
    ),
    row(
        "A peer stands still, or the way to it is silent",
        "silence-unnoticed",
        "trees::spines::no_version_goes_back_while_a_spine_is_stopped_and_nobody_is_told",
    ),
    row("A peer leads back to this proxy", "circle-unseen", "trees::circles::a_circle_of_three_is_told"),
    row(
        "A peer is no proxy, or one of another version, or places keys otherwise",
        "any-version",
        "trees::strangers::another_version_is_refused_with_what_to_do",
    ),
    row(
        "A peer is no proxy, or one of another version, or places keys otherwise",
        "any-placement",
        "trees::strangers::who_places_keys_otherwise_than_the_first_peer_gets_nothing",
    ),
    row(
        "A proxy breaks the rules of a framed link",
        "broken-frames-pass",
        "trees::strangers::a_peer_that_breaks_the_rules_loses_its_link_and_nobody_else_anything",
    ),
    row(
        "A framed link would carry more sessions than it may",
        "streams-unbounded",
        "trees::strangers::a_framed_link_that_has_all_the_streams_it_may_leaves_sessions_to_everybody_else",
    ),
    row(
        "The proxy stands still and goes on within the patience",
        "impatient",
        "failure::freeze::a_proxy_that_stands_still_costs_time_and_nothing_else",
    ),
    row(
        "The proxy stands still beyond the patience",
        "repeat-after-deadline",
        "failure::deadlines::what_was_put_aside_is_not_tried_again_after_its_deadline",
    ),
    row(
        "Users are changed and read again",
        "users-kept",
        "acl::reload::who_still_may_goes_on_under_the_new_rules_and_the_others_are_closed",
    ),
    row(
        "Somebody guesses passwords",
        "guesses-free",
        "acl::attempts::ten_thousand_wrong_passwords_are_hardly_looked_at_and_told_once",
    ),
    row("The proxy is told to end (SIGTERM)", "drain-at-once", "drain::ends::a_request_on_its_way_is_answered"),
    row("The proxy is killed", "files-named", "failure::spool::nothing_of_it_is_in_the_folder_even_while_it_is_kept"),
    row(
        "The disk of the spool is full, or fails",
        "room-untaken",
        "failure::spool::on_a_full_disk_large_requests_pass_as_without_a_spool",
    ),
    row(
        "The spool is full (`limits.spool_max`)",
        "unshared-spool",
        "failure::spool::an_instance_that_is_away_keeps_large_values_waiting_and_no_other",
    ),
    row(
        "The ceiling on memory is near, or reached",
        "unbounded",
        "large::greedy_clients::many_requests_just_below_the_threshold_that_never_end",
    ),
    row(
        "A client stops in the middle of a large value, or of a transaction with one",
        "stalls-unnoticed",
        "large::broken_clients::more_clients_than_lanes_stand_still_and_the_others_go_on_within_stall_max",
    ),
    row(
        "A client does not read its replies",
        "unbounded",
        "large::greedy_clients::clients_that_pipeline_very_many_gets_and_never_read",
    ),
    row(
        "A client's handshake fails, or does not end",
        "guests-stay",
        "seals::hostile::a_handshake_that_stops_anywhere_is_closed_after_five_seconds_and_told_once",
    ),
    row(
        "A client's handshake fails, or does not end",
        "guests-stay",
        "seals::hostile::plain_resp_on_a_sealed_listener_and_the_reverse_are_closed_and_told_once",
    ),
    row(
        "What arrives on a sealed connection was tampered with",
        "tampering-passes",
        "seals::hostile::garbage_in_a_handshake_and_forged_repeated_or_cut_records_cost_their_sender_its_connection_alone",
    ),
    row("A client is idle", "idle-closed", "failure::silence::no_session_is_closed_for_being_idle"),
    row(
        "A client leaves before its reply",
        "lane-kept-open",
        "large::broken_clients::clients_that_die_or_stand_still_before_exec",
    ),
];
