//! Reasons as answered calls have them, for `packed` to copy from. What they say here is never shown;
//! a sentence that is missing, or has changed since, only takes more bytes in a held call.

/// Codes, each with a sentence of its kind. Those that few calls have come first, so that what is
/// copied is the newest.
pub(super) const MODEL: &[(&str, &str)] = &[
    ("number_allowed", "The called number is on list 1, which is allowed for account 1001."),
    ("from_trunk_by_digest", "The caller is trunk 1001, by digest as "),
    ("named_by_gateway", "The gateway, trunk 1001, sends a call of subscriber 1001."),
    ("did_found", "The number is DID 1001 of account 1001, which leads to subscriber 1001."),
    ("to_subscriber", "The callee is subscriber 1001, registered at 1 contact(s)."),
    ("tried_contact", "Rang subscriber 1001 at 192.168."),
    ("trunks_graded", "Trunks go by the percentage of their calls that they answer: trunk 1001 "),
    ("trunks_drawn", "Trunks that share calls by weight were drawn for their places, by 1."),
    ("trunk_skipped_down", "Trunk 1001 was left out: it is down."),
    (
        "trunk_skipped_quality",
        "Trunk 1001 was left out: its calls are not as good as quality rule ",
    ),
    (
        "cli_replaced",
        "The caller's number is no DID or stored caller ID of account 1001: +49 was drawn in its \
         place.",
    ),
    (
        "cli_non_cli_rates",
        "The caller's number is no DID of account 1001: its NON-CLI rate group applies.",
    ),
    ("cli_default", "The caller has no number: +49, the default of account 1001, stands for it."),
    ("cli_is_own_did", "The caller's number is a DID of account 1001."),
    ("identity_valid", "The caller's Identity header is valid, with attestation A."),
    ("identity_signed", "The call to trunk 1001 was signed with attestation A."),
    ("hunted", "Attempt 1 failed with 503 (congestion); another may follow."),
    ("grant_final", "The money lasts for 60 s of talk and no more."),
    ("from_trunk", "The caller is trunk 1001, known by its address 10.0.0.1:5060."),
    ("from_subscriber", "The caller is subscriber 1001 ("),
    ("from_subscriber", "), by digest."),
    ("number_rules_matched", "The called number 49 becomes +49 by number rule 1."),
    ("number_translated", "Dialled 49, which is 49."),
    ("routes_found", "The first 2 digits lead to 5 trunk(s)."),
    ("trunks_accepted", "Trunk 1001, trunk 1001, trunk 1001 may carry the call."),
    ("cli_is_stored", "The caller's number is a stored caller ID of account 1001."),
    (
        "rate_found",
        "Reseller 1001 (level 1): Rate group 1, prefix \"49\", sheet version 1: 0.01 EUR a minute, \
         60/60, connect fee 0.01.",
    ),
    ("rate_found", "0.01 EUR a minute, 1/1, connect fee 0."),
    ("carrier_found", "Trunk 1001 of carrier 1001 costs 0.01 EUR for 90 s."),
    (
        "credit_reserved",
        "0.01 EUR and 10 s of bundles reserved from account 1001 for the first 10 s.",
    ),
    ("credit_reserved", "0.01 EUR reserved from reseller 1001 (level 1) for the first 60 s."),
    ("number_sent_by_rules", "The called number is 49 for trunk 1001, by number rule 1."),
    ("tried_trunk", "Tried trunk 1001 at 127.0.0.1:5060."),
    ("answered", "Attempt 1 was answered."),
];
