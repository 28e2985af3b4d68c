//! Instances that answer with an error, or with what is no answer; instances that permit less than is needed.

use super::fault::{Fault, both, pdwfs, redis};

const LOST: &str = "pdw_links_lost_total";
const ERRORS: &str = "pdw_upstream_errors_total";

pub(super) const ERRORS_OF_INSTANCES: &[Fault] = &[
    Fault {
        name: "It says that it cannot just now",
        note: "The first word of the reply is one of those below, which say that nothing was carried out; or it is \
               `EXECABORT` because of one of them.",
        cases: &[
            pdwfs(
                "up to `limits.retain_max`, spooled value",
                "waits: it is tried again, with pauses that grow; after `times.patience` the instance's own words, or **unknown** if a try is under way or was lost",
                "nothing until it is taken",
            ),
            pdwfs(
                "transaction up to `limits.retain_max`, or spooled",
                "the same, as a whole, if no other error was among its replies",
                "nothing until all of it is taken",
            ),
            pdwfs(
                "script other than pdwfs's own",
                "the error: the script may have met it half-way",
                "what the script did before",
            ),
            pdwfs("large value", "the error, at once: nobody could send it again", "nothing"),
            redis("all", "the error", "nothing"),
        ],
        metrics: &["pdw_retries_total", ERRORS],
        log: &[],
        tests: &[
            "failure::held_errors::a_request_waits_until_the_trouble_is_over",
            "failure::held_errors::a_transaction_waits_as_a_whole",
            "failure::held_errors::a_client_that_waits_at_every_command_of_a_transaction_hears_of_no_trouble",
            "failure::held_errors::after_the_patience_the_instances_own_words_are_given",
            "failure::held_errors::a_doomed_transaction_gives_the_words_of_the_command_that_doomed_it_or_execabort",
            "failure::held_errors::a_script_that_has_done_something_and_then_says_busy_is_not_run_again",
            "failure::held_errors::pauses_grow_and_others_are_served_meanwhile",
            "failure::spool::a_large_request_waits_until_the_trouble_is_over",
            "failure::spool::after_the_patience_the_client_hears_of_it",
            "failure::spool::without_one_a_large_value_hears_of_the_trouble_at_once",
            "failure::instances::under_redis_every_trouble_is_passed_on_and_ends_with_its_cause",
        ],
    },
    Fault {
        name: "Its disk is full",
        note: "It says `MISCONF` to writes until there is room, if it persists.",
        cases: &[
            pdwfs("read", "its reply", "it was read"),
            pdwfs("write", "waits for room, as above", "nothing until it is taken"),
            redis("write", "`MISCONF`", "nothing"),
        ],
        metrics: &["pdw_retries_total{kind=\"MISCONF\"}", ERRORS],
        log: &[],
        tests: &[
            "failure::held_errors::on_a_full_disk_requests_wait_for_room",
            "failure::instances::a_full_disk_is_passed_on_under_redis",
        ],
    },
    Fault {
        name: "It answers with another error",
        note: "`NOSCRIPT` and `WRONGTYPE`, for example, are answers.",
        cases: &[both("all", "the error, at once", "as the error says")],
        metrics: &[ERRORS],
        log: &[],
        tests: &["failure::held_errors::every_other_error_is_handed_on_at_once"],
    },
    Fault {
        name: "What it sends is not RESP",
        note: "",
        cases: &[both("all", "as when the link is lost after sending", "as when the link is lost")],
        metrics: &[LOST],
        log: &["is this upstream a Redis server?"],
        tests: &[
            "failure::bad_replies::nonsense_in_the_place_of_a_reply_loses_the_link_and_no_request",
            "bad_input::upstreams::what_is_not_redis_fails_its_own_requests_only",
        ],
    },
    Fault {
        name: "It sends a reply to nothing",
        note: "While a request is unanswered, a reply too many cannot be told from that request's own: it is taken for it, \
               and the request's own, behind it, is the reply to nothing.",
        cases: &[both("all", "nothing of it: the link had no unanswered request", "nothing")],
        metrics: &[LOST],
        log: &["it sent a reply to nothing"],
        tests: &["failure::connections::a_reply_to_nothing_shifts_no_other"],
    },
    Fault {
        name: "It is no Redis, or wants a password",
        note: "A link carries nothing before it has proven itself by `CLIENT SETNAME`, `MULTI`, `EXEC`, `PING` and \
               `CLIENT INFO`, within `times.connect_timeout`.",
        cases: &[
            pdwfs("all", "waits; **not sent** after `times.patience`", "nothing"),
            redis("all", "**not sent**", "nothing"),
        ],
        metrics: &["pdw_upstream_up", "pdw_links{state=\"proving\"}"],
        log: &[
            "it could not be connected and proven within times.connect_timeout",
            "it refuses PING (it is loading, or its ACL does not allow PING to this user)",
        ],
        tests: &["bad_input::upstreams::what_is_not_redis_fails_its_own_requests_only"],
    },
];

pub(super) const RIGHTS: &[Fault] = &[
    Fault {
        name: "It forbids `CLIENT KILL` or `CLIENT INFO`, or it is a proxy",
        note: "Such an upstream cannot be fenced (the metric counts refusals of `CLIENT KILL`). A proxy is one only where it stands \
               in the place of an instance; among `peers` links have deadlines, and there is a fence.",
        cases: &[
            pdwfs("read", "its reply", "it was read once or twice"),
            pdwfs("any write, after a lost link", "**unknown**", "carried out once or not, perhaps later"),
            pdwfs("any, on a silent link", "waits until `times.link_dead` or its patience is over", "as above"),
            redis("all", "as with any other", "carried out once or not, perhaps later"),
        ],
        metrics: &["pdw_fences_total{outcome=\"refused\"}"],
        log: &["cannot be told to forget a lost link, so only reads are repeated after one"],
        tests: &["failure::repeats::without_the_right_to_fence_only_reads_are_repeated_and_the_log_says_so"],
    },
    Fault {
        name: "It forbids `MULTI`",
        note: "",
        cases: &[both("transaction", "`NOPERM`, at `MULTI` where it is known by then", "nothing")],
        metrics: &["pdw_refusals_total{kind=\"transactions_forbidden\"}"],
        log: &["forbids MULTI to this user, so transactions are refused"],
        tests: &[
            "bad_input::upstreams::without_multi_a_transaction_is_refused_at_its_start",
            "lanes::forbidden::a_transaction_that_waits_for_its_link_is_refused_when_that_may_not_run_multi",
        ],
    },
];

pub(super) const ADDRESSES: &[Fault] = &[
    Fault {
        name: "Its name cannot be looked up",
        note: "At the start a name has to be found, or the proxy does not start.",
        cases: &[both("all", "nothing: the address that was found last stays in use", "carried out")],
        metrics: &[],
        log: &["the name cannot be looked up; its last address stays in use", "the name can be looked up again"],
        tests: &["operation::names::a_name_that_cannot_be_looked_up_keeps_its_last_address_and_is_told_of_once"],
    },
    Fault {
        name: "Its name, or the file that was read again, gives another address",
        note: "A name is looked up when a link to it is opened. What is stored at the old address is not moved.",
        cases: &[
            both("sent before", "its reply, from the old address", "carried out there"),
            both("sent later", "its reply, from the new address", "carried out at the new address"),
        ],
        metrics: &["pdw_links_retired_total", "pdw_links{state=\"retiring\"}"],
        log: &["the upstream's address has changed", "it is at another address now"],
        tests: &[
            "operation::names::a_name_that_changes_is_followed_when_its_link_is_lost",
            "operation::reload::an_upstream_that_keeps_its_name_and_place_is_followed_to_its_new_address",
            "lanes::lanes::a_lane_to_an_old_address_lasts_as_long_as_its_transaction",
        ],
    },
    Fault {
        name: "The upstreams that are configured have another order, other names or weights",
        note: "Keys would not be found where they are.",
        cases: &[both(
            "all",
            "nothing: read again, such a list is refused unless forced; with `state_dir` a start with it is too",
            "carried out",
        )],
        metrics: &["pdw_reload_successful"],
        log: &["configuration not taken, the old one stays in force"],
        tests: &[
            "operation::reload::another_list_of_upstreams_is_refused_unless_forced_and_then_sessions_keep_what_they_began_with",
            "operation::state::a_start_with_another_order_is_refused_until_it_is_accepted",
        ],
    },
];
