-- For people: amounts with their decimals, times as text. PostgreSQL's own functions; sqlite.sql has the
-- same views for SQLite. Change both: a test compares their columns.

DROP VIEW IF EXISTS cdr_readable;
DROP VIEW IF EXISTS posting_readable;
DROP VIEW IF EXISTS receipt_readable;
DROP VIEW IF EXISTS account_balance_readable;
DROP VIEW IF EXISTS account_readable;
DROP VIEW IF EXISTS cdr_payer_readable;
DROP VIEW IF EXISTS bundle_readable;
DROP VIEW IF EXISTS bundle_use_readable;
DROP VIEW IF EXISTS charge_readable;
DROP VIEW IF EXISTS subscription_readable;
DROP VIEW IF EXISTS plan_fee_readable;
DROP VIEW IF EXISTS voucher_readable;
DROP VIEW IF EXISTS account_event_readable;
DROP VIEW IF EXISTS rate_sheet_readable;
DROP VIEW IF EXISTS exchange_rate_readable;
DROP VIEW IF EXISTS charge_history_readable;
DROP VIEW IF EXISTS subscriber_readable;
DROP VIEW IF EXISTS rate_readable;
DROP VIEW IF EXISTS rate_group_readable;
DROP VIEW IF EXISTS trunk_readable;
DROP VIEW IF EXISTS route_readable;
DROP VIEW IF EXISTS destination_readable;
DROP VIEW IF EXISTS discount_readable;

CREATE VIEW cdr_readable AS
SELECT lpad(to_hex(call_id), 16, '0') AS call, leg, direction, cdr.account_id, account.name AS account,
       cdr.site_id, site.name AS site, subscriber_id, trunk_id,
       coalesce(trunk.friendly_name, trunk.name) AS trunk, remote, sip_call_id, cli, cld, caller,
       destination, destination_name, lrn, jurisdiction,
       to_char(to_timestamp(started_at / 1e6) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS') AS started_at,
       post_dial_delay_us / 1e6 AS post_dial_delay_s,
       to_char(to_timestamp(answered_at / 1e6) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS') AS answered_at,
       to_char(to_timestamp(ended_at / 1e6) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS') AS ended_at,
       (coalesce(answered_at, ended_at) - ringing_at) / 1e6 AS ring_s,
       talked_us / 1e6 AS talked_s, billed_us / 1000000 AS billed_s, bundle_us / 1000000 AS bundle_s,
       cause, q850, sip_status, released_by, attestation,
       round(amount / 1e6, 6)::text AS amount,
       cdr.currency, cdr.rate_group_id, rate_sheet_version, rate_prefix, price, connect_fee,
       first_increment_s, next_increment_s, rate_terms,
       rate_terms::json ->> 'exchange_from' AS exchange_from, rate_terms::json ->> 'exchange_rate' AS exchange_rate,
       error_code, generation, report_currency,
       round(report_rate / 1e9, 9)::text AS report_rate,
       round(cdr.tax / 1e6, 6)::text AS tax
FROM cdr
LEFT JOIN account ON account.id = cdr.account_id
LEFT JOIN site ON site.id = cdr.site_id
LEFT JOIN trunk ON trunk.id = cdr.trunk_id;

CREATE VIEW posting_readable AS
SELECT encode(op_id, 'hex') AS op_id, kind, debit_account_id, credit_account_id,
       round(amount / 1e6, 6)::text AS amount, posting.currency,
       to_char(to_timestamp(at / 1e6) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS') AS at,
       lpad(to_hex(call_id), 16, '0') AS call, leg, level, note,
       debit.name AS debit_account, credit.name AS credit_account,
       round(posting.tax / 1e6, 6)::text AS tax
FROM posting
LEFT JOIN account AS debit ON debit.id = debit_account_id
LEFT JOIN account AS credit ON credit.id = credit_account_id;

-- `amount` is what the account got, negative what it was charged; no `seller` is the operator.
CREATE VIEW receipt_readable AS
SELECT seller.name AS seller, receipt.number, receipt.account_id, account.name AS account, posting.kind,
       round(CASE WHEN posting.debit_account_id = receipt.account_id THEN -posting.amount ELSE posting.amount END / 1e6, 6)::text AS amount,
       posting.currency, round(receipt.balance_after / 1e6, 6)::text AS balance_after,
       to_char(to_timestamp(receipt.at / 1e6) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS') AS at,
       lpad(to_hex(posting.call_id), 16, '0') AS call,
       encode(receipt.op_id, 'hex') AS op_id, posting.note
FROM receipt
JOIN posting ON posting.op_id = receipt.op_id
LEFT JOIN account ON account.id = receipt.account_id
LEFT JOIN account AS seller ON seller.id = receipt.seller_id;

-- `balance` is what was received less what was taken; `pending` is reserved by live calls.
CREATE VIEW account_balance_readable AS
SELECT account_id,
       round((credits_posted - debits_posted) / 1e6, 6)::text AS balance,
       round(debits_pending / 1e6, 6)::text AS pending,
       round(credits_posted / 1e6, 6)::text AS received,
       round(debits_posted / 1e6, 6)::text AS taken
FROM account_balance;

CREATE VIEW account_readable AS
SELECT account.id, account.name, account.number, account.billing, account.currency, account.status,
       round(account.credit_limit / 1e6, 6)::text AS credit_limit,
       round(coalesce(sums.credits_posted - sums.debits_posted, 0) / 1e6, 6)::text AS balance,
       round(coalesce(sums.debits_pending, 0) / 1e6, 6)::text AS pending,
       round(coalesce(sums.owed, 0) / 1e6, 6)::text AS owed_as_carrier,
       customers.name AS rate_group, carriers.name AS carrier_rate_group, parent.name AS reseller,
       account.time_zone, account.billing_day, account.custom,
       to_char(to_timestamp(account.suspended_at / 1e6) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS') AS suspended_at,
       to_char(to_timestamp(account.created_at / 1e6) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS') AS created_at
FROM account
LEFT JOIN account_balance AS sums ON sums.account_id = account.id
LEFT JOIN rate_group AS customers ON customers.id = account.rate_group_id
LEFT JOIN rate_group AS carriers ON carriers.id = account.carrier_rate_group_id
LEFT JOIN account AS parent ON parent.id = account.parent_id;

CREATE VIEW cdr_payer_readable AS
SELECT lpad(to_hex(cdr_payer.call_id), 16, '0') AS call, level, cdr_payer.account_id, account.name AS account,
       round(cdr_payer.amount / 1e6, 6)::text AS amount, cdr_payer.currency,
       billed_us / 1000000 AS billed_s, bundle_us / 1000000 AS bundle_s, rate_sheet_version,
       destination_name, to_char(to_timestamp(ended_at / 1e6) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS') AS ended_at,
       round(cdr_payer.tax / 1e6, 6)::text AS tax
FROM cdr_payer LEFT JOIN account ON account.id = cdr_payer.account_id;

CREATE VIEW bundle_readable AS
SELECT bundle.id, bundle.account_id, account.name AS account, destination_set.name AS destinations,
       bundle.precedence, bundle.increment_s, bundle.granted_s, bundle.used_s,
       bundle.granted_s - bundle.used_s AS left_s,
       to_char(to_timestamp(bundle.valid_from / 1e6) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS') AS valid_from, to_char(to_timestamp(bundle.valid_till / 1e6) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS') AS valid_till,
       to_char(to_timestamp(bundle.granted_at / 1e6) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS') AS granted_at, bundle.note
FROM bundle
LEFT JOIN account ON account.id = bundle.account_id
LEFT JOIN destination_set ON destination_set.id = bundle.destination_set_id;

CREATE VIEW bundle_use_readable AS
SELECT lpad(to_hex(bundle_use.call_id), 16, '0') AS call, bundle_use.bundle_id, bundle_use.level, bundle_use.account_id,
       account.name AS account, bundle_use.seconds, to_char(to_timestamp(bundle_use.ended_at / 1e6) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS') AS ended_at
FROM bundle_use LEFT JOIN account ON account.id = bundle_use.account_id;

CREATE VIEW charge_readable AS
SELECT encode(charge.op_id, 'hex') AS op_id, charge.account_id, account.name AS account, charge.kind,
       round(charge.amount / 1e6, 6)::text AS amount, account.currency, charge.label, charge.subscription_id,
       to_char(date '1970-01-01' + charge.from_day::int, 'YYYY-MM-DD') AS from_day, to_char(date '1970-01-01' + charge.till_day::int, 'YYYY-MM-DD') AS till_day,
       to_char(to_timestamp(charge.due_at / 1e6) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS') AS due_at, charge.state, charge.fault,
       to_char(to_timestamp(charge.booked_at / 1e6) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS') AS booked_at,
       round(charge.tax / 1e6, 6)::text AS tax
FROM charge LEFT JOIN account ON account.id = charge.account_id;

CREATE VIEW subscription_readable AS
SELECT subscription.id, subscription.account_id, account.name AS account, plan.name AS plan,
       subscription.quantity, subscription.note, to_char(to_timestamp(subscription.starts_at / 1e6) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS') AS starts_at,
       to_char(to_timestamp(subscription.ends_at / 1e6) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS') AS ends_at,
       to_char(to_timestamp(subscription.charged_until / 1e6) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS') AS charged_until,
       to_char(to_timestamp(subscription.next_due_at / 1e6) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS') AS next_due_at
FROM subscription
JOIN plan ON plan.id = subscription.plan_id
LEFT JOIN account ON account.id = subscription.account_id;

CREATE VIEW plan_fee_readable AS
SELECT plan.name AS plan, plan_fee.item, plan_fee.label, round(plan_fee.amount / 1e6, 6)::text AS amount, plan.currency,
       coalesce(plan_fee.every, 'once') AS every, plan_fee.at_start, plan_fee.at_end, plan_fee.shortage
FROM plan_fee JOIN plan ON plan.id = plan_fee.plan_id;

CREATE VIEW voucher_readable AS
SELECT voucher_batch.name AS batch, voucher.serial, round(voucher_batch.amount / 1e6, 6)::text AS amount,
       voucher_batch.currency, to_char(to_timestamp(voucher_batch.expires_at / 1e6) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS') AS expires_at,
       to_char(to_timestamp(voucher_batch.voided_at / 1e6) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS') AS voided_at, account.name AS redeemed_by,
       to_char(to_timestamp(voucher.redeemed_at / 1e6) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS') AS redeemed_at
FROM voucher
JOIN voucher_batch ON voucher_batch.id = voucher.voucher_batch_id
LEFT JOIN account ON account.id = voucher.redeemed_by;

CREATE VIEW account_event_readable AS
SELECT account_event.id, to_char(to_timestamp(account_event.at / 1e6) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS') AS at, account_event.account_id,
       account.name AS account, account_event.kind, account_event.detail,
       round(account_event.amount_left / 1e6, 6)::text AS amount_left,
       round(account_event.threshold / 1e6, 6)::text AS threshold, account_event.bundle_id
FROM account_event LEFT JOIN account ON account.id = account_event.account_id;

CREATE VIEW rate_sheet_readable AS
SELECT rate_sheet.id, rate_group.name AS rate_group, rate_group.currency, rate_sheet.file,
       rate_sheet.vendor, to_char(to_timestamp(rate_sheet.imported_at / 1e6) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS') AS imported_at,
       to_char(to_timestamp(rate_sheet.begins_at / 1e6) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS') AS begins_at, rate_sheet.is_full, rate_sheet.rolls_back,
       rate_sheet.row_count, rate_sheet.rows_in, rate_sheet.accepted, rate_sheet.repaired,
       rate_sheet.merged, rate_sheet.rejected, rate_sheet.added, rate_sheet.removed,
       rate_sheet.increased, rate_sheet.decreased, rate_sheet.changed, rate_sheet.blocked,
       rate_sheet.unchanged
FROM rate_sheet JOIN rate_group ON rate_group.id = rate_sheet.rate_group_id;

CREATE VIEW exchange_rate_readable AS
SELECT from_currency, to_currency, rate, to_char(to_timestamp(set_at / 1e6) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS') AS set_at FROM exchange_rate;

CREATE VIEW charge_history_readable AS
SELECT lpad(to_hex(charge_history.call_id), 16, '0') AS call, generation, role, place, charge_history.account_id,
       account.name AS account, run_id, to_char(to_timestamp(at / 1e6) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS') AS at,
       round(amount_before / 1e6, 6)::text AS amount_before, round(amount_after / 1e6, 6)::text AS amount_after,
       charge_history.currency, error_code
FROM charge_history LEFT JOIN account ON account.id = charge_history.account_id;

CREATE VIEW subscriber_readable AS
SELECT subscriber.id, subscriber.username, subscriber.number, subscriber.account_id,
       account.name AS account, site.name AS site, subscriber.contacts_max,
       to_char(to_timestamp(subscriber.created_at / 1e6) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS') AS created_at
FROM subscriber
LEFT JOIN account ON account.id = subscriber.account_id
LEFT JOIN site ON site.id = subscriber.site_id;

CREATE VIEW trunk_readable AS
SELECT trunk.id, trunk.name, trunk.friendly_name, trunk.account_id, account.name AS account,
       site.name AS site, trunk.enabled, trunk.host, trunk.port, trunk.transport, trunk.addresses,
       trunk.ingress_username, trunk.egress_username, trunk.registers,
       to_char(to_timestamp(trunk.created_at / 1e6) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS') AS created_at
FROM trunk
LEFT JOIN account ON account.id = trunk.account_id
LEFT JOIN site ON site.id = trunk.site_id;

CREATE VIEW route_readable AS
SELECT route.id, route.prefix, route.priority, trunk.name AS trunk, account.name AS account
FROM route
JOIN trunk ON trunk.id = route.trunk_id
LEFT JOIN account ON account.id = trunk.account_id;

CREATE VIEW destination_readable AS
SELECT destination_set.id, destination_set.name, destination_set_prefix.prefix
FROM destination_set
LEFT JOIN destination_set_prefix ON destination_set_prefix.destination_set_id = destination_set.id;

CREATE VIEW discount_readable AS
SELECT discount.id, discount.name, discount.account_id, account.name AS account, site.name AS site,
       destination_set.name AS destinations, round(discount.hundredths / 100.0, 2)::text AS percent_off,
       to_char(to_timestamp(discount.valid_from / 1e6) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS') AS valid_from,
       to_char(to_timestamp(discount.valid_till / 1e6) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS') AS valid_till
FROM discount
JOIN destination_set ON destination_set.id = discount.destination_set_id
LEFT JOIN account ON account.id = discount.account_id
LEFT JOIN site ON site.id = discount.site_id;

CREATE VIEW rate_group_readable AS
SELECT rate_group.id, rate_group.name, rate_group.currency, rate_group.rounding, rate_group.decimals,
       rate_group.line_rounding, rate_group.line_decimals, rate_group.duration_rounding,
       rate_group.defaults,
       (SELECT count(*) FROM rate_sheet WHERE rate_sheet.rate_group_id = rate_group.id) AS sheets
FROM rate_group;

-- `is_current`: no sheet came and no default changed since the group's rates were listed.
CREATE VIEW rate_readable AS
SELECT rate_group.name AS rate_group, listed_rate.prefix, listed_rate.destination, rate_group.currency,
       listed_rate.price, listed_rate.connect_fee, listed_rate.minimum_charge,
       listed_rate.first_increment_s, listed_rate.next_increment_s, listed_rate.unit_s,
       listed_rate.grace_s, listed_rate.free_s, listed_rate.minimum_s, listed_rate.is_blocked,
       listed_rate.has_special_terms, listed_rate.rate_sheet_id,
       CASE WHEN listed_rate.valid_from = 0 THEN NULL
            ELSE to_char(to_timestamp(listed_rate.valid_from / 1e6) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS') END AS valid_from,
       to_char(to_timestamp(listed_rate.valid_till / 1e6) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS') AS valid_till,
       to_char(to_timestamp(rate_listing.listed_at / 1e6) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS') AS listed_at,
       CASE WHEN rate_listing.defaults = rate_group.defaults AND NOT EXISTS (
                SELECT 1 FROM rate_sheet WHERE rate_sheet.rate_group_id = rate_group.id
                AND rate_sheet.id > rate_listing.rate_sheet_id) THEN 1 ELSE 0 END AS is_current
FROM listed_rate
JOIN rate_listing ON rate_listing.rate_group_id = listed_rate.rate_group_id
JOIN rate_group ON rate_group.id = listed_rate.rate_group_id;
