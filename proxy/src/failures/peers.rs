//! What happens to links between proxies, and to proxies as upstreams.

use super::fault::{Fault, both, pdwfs, redis};

const LOST: &[&str] = &["pdw_links_lost_total", "pdw_link_reconnects_total", "pdw_upstream_up"];

pub(super) const PEERS: &[Fault] = &[
    Fault {
        name: "The connection between two proxies is lost, and both live",
        note: "A framed link goes on on another connection: each end has kept what the other one has not got, and the sessions that \
               it carries stay, so that what was sent on is answered meanwhile. It does not when nobody accepts the connection, or \
               another process does; when more is kept than `limits.resume_max`; when another peer is there and the lease is over \
               (three times `times.probe_after`), or the patience is; then the next row holds.",
        cases: &[
            both("all, sent or not", "its reply, as if nothing had happened", "carried out once"),
            pdwfs("a large value on its way", "**closed**", "nothing, but for the last byte"),
            redis("a large value on its way", "**unknown**; the rest is skipped", "nothing, but for the last byte"),
        ],
        metrics: &["pdw_links_lost_total", "pdw_links_resumed_total", "pdw_limit_used{limit=\"resume_max\"}"],
        log: &["it closed the connection"],
        tests: &[
            "trees::resumed::what_is_on_a_link_that_is_cut_is_done_once_and_clients_that_handle_errors_see_none",
            "trees::resumed::what_is_on_a_link_that_is_cut_is_done_once_and_nothing_is_repeated_under_pdwfs",
            "trees::resumed::the_links_on_both_sides_of_a_proxy_in_the_middle_are_cut_and_all_is_done_once",
            "peers::resume::a_link_that_would_hold_too_much_is_forgotten",
            "peers::resume::a_link_that_nobody_claims_is_forgotten_when_the_time_of_its_requests_is_over",
        ],
    },
    Fault {
        name: "A peer is gone, another one is there",
        note: "With `group.kind = \"peers\"`. The share of the peer that is gone goes to the others at once, and comes back with it. \
               What it was sent and has not answered it may still carry out, if it is alive: until its lease is over (three \
               times `times.probe_after`). Then another peer fences it off: every instance is told to close its connections \
               (`CLIENT LIST`, `CLIENT KILL`), and what is on its way through other proxies is waited for.",
        cases: &[
            pdwfs("not sent yet", "its reply, by way of another peer", "carried out once"),
            pdwfs("sent, a read", "its reply, by way of another peer, at once", "carried out once or twice"),
            pdwfs(
                "sent, a write that is repeatable",
                "its reply, behind the fence; an integer may differ",
                "carried out once or twice, before anything that is newer",
            ),
            pdwfs(
                "sent, another write, or no fence can be put up within the patience",
                "**unknown**",
                "carried out once or not",
            ),
            pdwfs("a large value on its way", "**closed**", "nothing, but for the last byte"),
            redis("not sent yet", "its reply, by way of another peer", "carried out once"),
            redis("sent", "**unknown**", "carried out once or not, perhaps after something newer"),
            redis("a large value on its way", "**unknown**; the rest is skipped", "nothing, but for the last byte"),
        ],
        metrics: &[
            "pdw_links_lost_total",
            "pdw_link_reconnects_total",
            "pdw_upstream_up",
            "pdw_repeats_total",
            "pdw_fences_total",
        ],
        log: &["it closed the connection"],
        tests: &[
            "trees::spines::the_share_of_a_spine_that_is_killed_moves_over_and_comes_back",
            "trees::spines::nobody_is_told_that_a_spine_was_killed_and_no_version_goes_back",
            "trees::spines::what_a_spine_took_with_it_is_sent_again_behind_a_fence",
            "trees::spines::what_a_spine_took_with_it_is_unknown_to_clients_that_handle_errors",
        ],
    },
    Fault {
        name: "A peer stands still, or the way to it is silent",
        note: "It is asked whether it is there after half of `times.probe_after`, and is silent when it has not said so after the \
               other half. That an instance behind it is slow says nothing of the peer.",
        cases: &[
            both(
                "not sent yet, or come meanwhile",
                "its reply, by way of another peer, if one is there",
                "carried out once",
            ),
            both(
                "sent",
                "its reply, if the peer goes on within the patience; else **unknown**",
                "carried out once, and not after the patience",
            ),
        ],
        metrics: &["pdw_link_silences_total", "pdw_links{lane=\"framed\",state=\"silent\"}"],
        log: &[],
        tests: &[
            "trees::spines::no_version_goes_back_while_a_spine_is_stopped_and_nobody_is_told",
            "peers::streams::a_peer_that_says_nothing_is_left_by_what_was_not_sent",
            "peers::streams::a_request_is_not_sent_on_after_the_first_proxy_has_given_it_up_however_long_it_took",
        ],
    },
    Fault {
        name: "A peer leads back to this proxy",
        note: "Directly, or by way of others, also if that circle is closed later. The link is given up and tried again; other \
               peers serve.",
        cases: &[both("all, if there is no other peer", "as when an instance is away", "nothing")],
        metrics: LOST,
        log: &["leads back to this proxy"],
        tests: &[
            "trees::circles::a_proxy_that_is_its_own_peer_is_told",
            "trees::circles::a_circle_of_two_is_told",
            "trees::circles::a_circle_of_three_is_told",
            "trees::circles::who_is_in_a_circle_is_served_by_another_peer",
            "peers::links::a_circle_that_closes_later_is_told_by_a_note",
        ],
    },
    Fault {
        name: "A peer is no proxy, or one of another version, or places keys otherwise",
        note: "",
        cases: &[both("all, if there is no other peer", "as when an instance is away", "nothing")],
        metrics: LOST,
        log: &["run the same version of pdw-proxy at both ends", "it places keys otherwise than the other peers"],
        tests: &[
            "trees::strangers::an_instance_is_no_peer",
            "trees::strangers::another_version_is_refused_with_what_to_do",
            "trees::strangers::who_places_keys_otherwise_than_the_first_peer_gets_nothing",
            "peers::links::peers_that_place_keys_otherwise_than_the_first_are_refused",
            "peers::links::whoever_is_no_proxy_or_another_version_is_told_from_one_that_is_away",
        ],
    },
    Fault {
        name: "A proxy breaks the rules of a framed link",
        note: "Frames that cannot be, more than it was given credit for. The link is closed, and with it all its streams; it may come \
               again.",
        cases: &[both("of its clients", "as when a peer is gone", "carried out once or not")],
        metrics: &["pdw_protocol_errors_total"],
        log: &["is closed: "],
        tests: &[
            "trees::strangers::a_peer_that_breaks_the_rules_loses_its_link_and_nobody_else_anything",
            "peers::streams::more_than_was_granted_ends_the_link",
        ],
    },
    Fault {
        name: "A framed link would carry more sessions than it may",
        note: "At `limits.streams_max` of the proxy that accepted the link, so that one proxy, or who poses as one, cannot have all of \
               `limits.sessions_max` there; also when that, or the ceiling on memory, is reached. The stream is refused, and nothing \
               that was sent on it is carried out; the link and its other streams go on.",
        cases: &[
            pdwfs(
                "all",
                "its reply once there is room; the reason when the patience is over",
                "carried out once, or nothing",
            ),
            pdwfs("a large value", "the reason; the rest is skipped", "nothing"),
            redis("all", "the reason (`TRYAGAIN` and the limit's name)", "nothing"),
        ],
        metrics: &["pdw_refusals_total{kind=\"too_many_streams\"}", "pdw_limit_used{limit=\"streams_max\"}"],
        log: &[],
        tests: &[
            "trees::strangers::a_framed_link_that_has_all_the_streams_it_may_leaves_sessions_to_everybody_else",
            "peers::refused::one_stream_more_than_there_may_be_is_refused_with_the_limits_name_and_served_when_there_is_room",
            "peers::refused::under_pdwfs_a_refused_request_waits_for_room_and_nobody_is_told",
            "peers::refused::under_pdwfs_the_reason_is_told_when_the_patience_is_over",
            "peers::refused::a_large_value_that_is_refused_is_skipped_and_its_client_told",
        ],
    },
];
