-- For people: amounts with their decimals, times as text. SQLite's own functions; postgres.sql has the
-- same views for PostgreSQL. Change both: a test compares their columns.

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
SELECT printf('%016x', call_id) AS call, leg, direction, cdr.account_id, account.name AS account,
       cdr.site_id, site.name AS site, subscriber_id, trunk_id,
       coalesce(trunk.friendly_name, trunk.name) AS trunk, remote, sip_call_id, cli, cld, caller,
       destination, destination_name, lrn, jurisdiction,
       strftime('%Y-%m-%d %H:%M:%f', started_at / 1e6, 'unixepoch') AS started_at,
       post_dial_delay_us / 1e6 AS post_dial_delay_s,
       strftime('%Y-%m-%d %H:%M:%f', answered_at / 1e6, 'unixepoch') AS answered_at,
       strftime('%Y-%m-%d %H:%M:%f', ended_at / 1e6, 'unixepoch') AS ended_at,
       (coalesce(answered_at, ended_at) - ringing_at) / 1e6 AS ring_s,
       talked_us / 1e6 AS talked_s, billed_us / 1000000 AS billed_s, bundle_us / 1000000 AS bundle_s,
       cause, q850, sip_status, released_by, attestation,
       CASE WHEN amount < 0 THEN '-' ELSE '' END
           || printf('%d.%06d', abs(amount) / 1000000, abs(amount) % 1000000) AS amount,
       cdr.currency, cdr.rate_group_id, rate_sheet_version, rate_prefix, price, connect_fee,
       first_increment_s, next_increment_s, rate_terms,
       json_extract(rate_terms, '$.exchange_from') AS exchange_from, json_extract(rate_terms, '$.exchange_rate') AS exchange_rate,
       error_code, generation, report_currency,
       CASE WHEN report_rate IS NULL THEN NULL
            ELSE printf('%d.%09d', report_rate / 1000000000, report_rate % 1000000000) END AS report_rate,
       CASE WHEN cdr.tax < 0 THEN '-' ELSE '' END || printf('%d.%06d', abs(cdr.tax) / 1000000, abs(cdr.tax) % 1000000) AS tax
FROM cdr
LEFT JOIN account ON account.id = cdr.account_id
LEFT JOIN site ON site.id = cdr.site_id
LEFT JOIN trunk ON trunk.id = cdr.trunk_id;

CREATE VIEW posting_readable AS
SELECT lower(hex(op_id)) AS op_id, kind, debit_account_id, credit_account_id,
       printf('%d.%06d', amount / 1000000, amount % 1000000) AS amount, posting.currency,
       strftime('%Y-%m-%d %H:%M:%f', at / 1e6, 'unixepoch') AS at,
       CASE WHEN call_id IS NULL THEN NULL ELSE printf('%016x', call_id) END AS call, leg, level, note,
       debit.name AS debit_account, credit.name AS credit_account,
       CASE WHEN posting.tax < 0 THEN '-' ELSE '' END || printf('%d.%06d', abs(posting.tax) / 1000000, abs(posting.tax) % 1000000) AS tax
FROM posting
LEFT JOIN account AS debit ON debit.id = debit_account_id
LEFT JOIN account AS credit ON credit.id = credit_account_id;

-- `amount` is what the account got, negative what it was charged; no `seller` is the operator.
CREATE VIEW receipt_readable AS
SELECT seller.name AS seller, receipt.number, receipt.account_id, account.name AS account, posting.kind,
       CASE WHEN posting.debit_account_id = receipt.account_id AND posting.amount > 0 THEN '-' ELSE '' END
           || printf('%d.%06d', posting.amount / 1000000, posting.amount % 1000000) AS amount,
       posting.currency, CASE WHEN receipt.balance_after < 0 THEN '-' ELSE '' END || printf('%d.%06d', abs(receipt.balance_after) / 1000000, abs(receipt.balance_after) % 1000000) AS balance_after,
       strftime('%Y-%m-%d %H:%M:%f', receipt.at / 1e6, 'unixepoch') AS at,
       CASE WHEN posting.call_id IS NULL THEN NULL ELSE printf('%016x', posting.call_id) END AS call,
       lower(hex(receipt.op_id)) AS op_id, posting.note
FROM receipt
JOIN posting ON posting.op_id = receipt.op_id
LEFT JOIN account ON account.id = receipt.account_id
LEFT JOIN account AS seller ON seller.id = receipt.seller_id;

-- `balance` is what was received less what was taken; `pending` is reserved by live calls.

CREATE VIEW account_balance_readable AS
SELECT account_id,
       CASE WHEN credits_posted < debits_posted THEN '-' ELSE '' END
           || printf('%d.%06d', abs(credits_posted - debits_posted) / 1000000,
                     abs(credits_posted - debits_posted) % 1000000) AS balance,
       printf('%d.%06d', debits_pending / 1000000, debits_pending % 1000000) AS pending,
       printf('%d.%06d', credits_posted / 1000000, credits_posted % 1000000) AS received,
       printf('%d.%06d', debits_posted / 1000000, debits_posted % 1000000) AS taken
FROM account_balance;

CREATE VIEW account_readable AS
SELECT account.id, account.name, account.number, account.billing, account.currency, account.status,
       CASE WHEN account.credit_limit < 0 THEN '-' ELSE '' END || printf('%d.%06d', abs(account.credit_limit) / 1000000, abs(account.credit_limit) % 1000000) AS credit_limit,
       CASE WHEN coalesce(sums.credits_posted - sums.debits_posted, 0) < 0 THEN '-' ELSE '' END || printf('%d.%06d', abs(coalesce(sums.credits_posted - sums.debits_posted, 0)) / 1000000, abs(coalesce(sums.credits_posted - sums.debits_posted, 0)) % 1000000) AS balance,
       CASE WHEN coalesce(sums.debits_pending, 0) < 0 THEN '-' ELSE '' END || printf('%d.%06d', abs(coalesce(sums.debits_pending, 0)) / 1000000, abs(coalesce(sums.debits_pending, 0)) % 1000000) AS pending,
       CASE WHEN coalesce(sums.owed, 0) < 0 THEN '-' ELSE '' END || printf('%d.%06d', abs(coalesce(sums.owed, 0)) / 1000000, abs(coalesce(sums.owed, 0)) % 1000000) AS owed_as_carrier,
       customers.name AS rate_group, carriers.name AS carrier_rate_group, parent.name AS reseller,
       account.time_zone, account.billing_day, account.custom,
       strftime('%Y-%m-%d %H:%M:%f', account.suspended_at / 1e6, 'unixepoch') AS suspended_at,
       strftime('%Y-%m-%d %H:%M:%f', account.created_at / 1e6, 'unixepoch') AS created_at
FROM account
LEFT JOIN account_balance AS sums ON sums.account_id = account.id
LEFT JOIN rate_group AS customers ON customers.id = account.rate_group_id
LEFT JOIN rate_group AS carriers ON carriers.id = account.carrier_rate_group_id
LEFT JOIN account AS parent ON parent.id = account.parent_id;

CREATE VIEW cdr_payer_readable AS
SELECT printf('%016x', cdr_payer.call_id) AS call, level, cdr_payer.account_id, account.name AS account,
       CASE WHEN cdr_payer.amount < 0 THEN '-' ELSE '' END || printf('%d.%06d', abs(cdr_payer.amount) / 1000000, abs(cdr_payer.amount) % 1000000) AS amount, cdr_payer.currency,
       billed_us / 1000000 AS billed_s, bundle_us / 1000000 AS bundle_s, rate_sheet_version,
       destination_name, strftime('%Y-%m-%d %H:%M:%f', ended_at / 1e6, 'unixepoch') AS ended_at,
       CASE WHEN cdr_payer.tax < 0 THEN '-' ELSE '' END || printf('%d.%06d', abs(cdr_payer.tax) / 1000000, abs(cdr_payer.tax) % 1000000) AS tax
FROM cdr_payer LEFT JOIN account ON account.id = cdr_payer.account_id;

CREATE VIEW bundle_readable AS
SELECT bundle.id, bundle.account_id, account.name AS account, destination_set.name AS destinations,
       bundle.precedence, bundle.increment_s, bundle.granted_s, bundle.used_s,
       bundle.granted_s - bundle.used_s AS left_s,
       strftime('%Y-%m-%d %H:%M:%f', bundle.valid_from / 1e6, 'unixepoch') AS valid_from, strftime('%Y-%m-%d %H:%M:%f', bundle.valid_till / 1e6, 'unixepoch') AS valid_till,
       strftime('%Y-%m-%d %H:%M:%f', bundle.granted_at / 1e6, 'unixepoch') AS granted_at, bundle.note
FROM bundle
LEFT JOIN account ON account.id = bundle.account_id
LEFT JOIN destination_set ON destination_set.id = bundle.destination_set_id;

CREATE VIEW bundle_use_readable AS
SELECT printf('%016x', bundle_use.call_id) AS call, bundle_use.bundle_id, bundle_use.level, bundle_use.account_id,
       account.name AS account, bundle_use.seconds, strftime('%Y-%m-%d %H:%M:%f', bundle_use.ended_at / 1e6, 'unixepoch') AS ended_at
FROM bundle_use LEFT JOIN account ON account.id = bundle_use.account_id;

CREATE VIEW charge_readable AS
SELECT lower(hex(charge.op_id)) AS op_id, charge.account_id, account.name AS account, charge.kind,
       CASE WHEN charge.amount < 0 THEN '-' ELSE '' END || printf('%d.%06d', abs(charge.amount) / 1000000, abs(charge.amount) % 1000000) AS amount, account.currency, charge.label, charge.subscription_id,
       date(charge.from_day * 86400, 'unixepoch') AS from_day, date(charge.till_day * 86400, 'unixepoch') AS till_day,
       strftime('%Y-%m-%d %H:%M:%f', charge.due_at / 1e6, 'unixepoch') AS due_at, charge.state, charge.fault,
       strftime('%Y-%m-%d %H:%M:%f', charge.booked_at / 1e6, 'unixepoch') AS booked_at,
       CASE WHEN charge.tax < 0 THEN '-' ELSE '' END || printf('%d.%06d', abs(charge.tax) / 1000000, abs(charge.tax) % 1000000) AS tax
FROM charge LEFT JOIN account ON account.id = charge.account_id;

CREATE VIEW subscription_readable AS
SELECT subscription.id, subscription.account_id, account.name AS account, plan.name AS plan,
       subscription.quantity, subscription.note, strftime('%Y-%m-%d %H:%M:%f', subscription.starts_at / 1e6, 'unixepoch') AS starts_at,
       strftime('%Y-%m-%d %H:%M:%f', subscription.ends_at / 1e6, 'unixepoch') AS ends_at,
       strftime('%Y-%m-%d %H:%M:%f', subscription.charged_until / 1e6, 'unixepoch') AS charged_until,
       strftime('%Y-%m-%d %H:%M:%f', subscription.next_due_at / 1e6, 'unixepoch') AS next_due_at
FROM subscription
JOIN plan ON plan.id = subscription.plan_id
LEFT JOIN account ON account.id = subscription.account_id;

CREATE VIEW plan_fee_readable AS
SELECT plan.name AS plan, plan_fee.item, plan_fee.label, CASE WHEN plan_fee.amount < 0 THEN '-' ELSE '' END || printf('%d.%06d', abs(plan_fee.amount) / 1000000, abs(plan_fee.amount) % 1000000) AS amount, plan.currency,
       coalesce(plan_fee.every, 'once') AS every, plan_fee.at_start, plan_fee.at_end, plan_fee.shortage
FROM plan_fee JOIN plan ON plan.id = plan_fee.plan_id;

CREATE VIEW voucher_readable AS
SELECT voucher_batch.name AS batch, voucher.serial, CASE WHEN voucher_batch.amount < 0 THEN '-' ELSE '' END || printf('%d.%06d', abs(voucher_batch.amount) / 1000000, abs(voucher_batch.amount) % 1000000) AS amount,
       voucher_batch.currency, strftime('%Y-%m-%d %H:%M:%f', voucher_batch.expires_at / 1e6, 'unixepoch') AS expires_at,
       strftime('%Y-%m-%d %H:%M:%f', voucher_batch.voided_at / 1e6, 'unixepoch') AS voided_at, account.name AS redeemed_by,
       strftime('%Y-%m-%d %H:%M:%f', voucher.redeemed_at / 1e6, 'unixepoch') AS redeemed_at
FROM voucher
JOIN voucher_batch ON voucher_batch.id = voucher.voucher_batch_id
LEFT JOIN account ON account.id = voucher.redeemed_by;

CREATE VIEW account_event_readable AS
SELECT account_event.id, strftime('%Y-%m-%d %H:%M:%f', account_event.at / 1e6, 'unixepoch') AS at, account_event.account_id,
       account.name AS account, account_event.kind, account_event.detail,
       CASE WHEN account_event.amount_left IS NULL THEN NULL ELSE CASE WHEN account_event.amount_left < 0 THEN '-' ELSE '' END || printf('%d.%06d', abs(account_event.amount_left) / 1000000, abs(account_event.amount_left) % 1000000) END AS amount_left,
       CASE WHEN account_event.threshold IS NULL THEN NULL ELSE CASE WHEN account_event.threshold < 0 THEN '-' ELSE '' END || printf('%d.%06d', abs(account_event.threshold) / 1000000, abs(account_event.threshold) % 1000000) END AS threshold, account_event.bundle_id
FROM account_event LEFT JOIN account ON account.id = account_event.account_id;

CREATE VIEW rate_sheet_readable AS
SELECT rate_sheet.id, rate_group.name AS rate_group, rate_group.currency, rate_sheet.file,
       rate_sheet.vendor, strftime('%Y-%m-%d %H:%M:%f', rate_sheet.imported_at / 1e6, 'unixepoch') AS imported_at,
       strftime('%Y-%m-%d %H:%M:%f', rate_sheet.begins_at / 1e6, 'unixepoch') AS begins_at, rate_sheet.is_full, rate_sheet.rolls_back,
       rate_sheet.row_count, rate_sheet.rows_in, rate_sheet.accepted, rate_sheet.repaired,
       rate_sheet.merged, rate_sheet.rejected, rate_sheet.added, rate_sheet.removed,
       rate_sheet.increased, rate_sheet.decreased, rate_sheet.changed, rate_sheet.blocked,
       rate_sheet.unchanged
FROM rate_sheet JOIN rate_group ON rate_group.id = rate_sheet.rate_group_id;

CREATE VIEW exchange_rate_readable AS
SELECT from_currency, to_currency, rate, strftime('%Y-%m-%d %H:%M:%f', set_at / 1e6, 'unixepoch') AS set_at FROM exchange_rate;

CREATE VIEW charge_history_readable AS
SELECT printf('%016x', charge_history.call_id) AS call, generation, role, place, charge_history.account_id,
       account.name AS account, run_id, strftime('%Y-%m-%d %H:%M:%f', at / 1e6, 'unixepoch') AS at,
       CASE WHEN amount_before IS NULL THEN NULL ELSE CASE WHEN amount_before < 0 THEN '-' ELSE '' END || printf('%d.%06d', abs(amount_before) / 1000000, abs(amount_before) % 1000000) END AS amount_before, CASE WHEN amount_after IS NULL THEN NULL ELSE CASE WHEN amount_after < 0 THEN '-' ELSE '' END || printf('%d.%06d', abs(amount_after) / 1000000, abs(amount_after) % 1000000) END AS amount_after,
       charge_history.currency, error_code
FROM charge_history LEFT JOIN account ON account.id = charge_history.account_id;

CREATE VIEW subscriber_readable AS
SELECT subscriber.id, subscriber.username, subscriber.number, subscriber.account_id,
       account.name AS account, site.name AS site, subscriber.contacts_max,
       strftime('%Y-%m-%d %H:%M:%f', subscriber.created_at / 1e6, 'unixepoch') AS created_at
FROM subscriber
LEFT JOIN account ON account.id = subscriber.account_id
LEFT JOIN site ON site.id = subscriber.site_id;

CREATE VIEW trunk_readable AS
SELECT trunk.id, trunk.name, trunk.friendly_name, trunk.account_id, account.name AS account,
       site.name AS site, trunk.enabled, trunk.host, trunk.port, trunk.transport, trunk.addresses,
       trunk.ingress_username, trunk.egress_username, trunk.registers,
       strftime('%Y-%m-%d %H:%M:%f', trunk.created_at / 1e6, 'unixepoch') AS created_at
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
       destination_set.name AS destinations, printf('%d.%02d', discount.hundredths / 100, discount.hundredths % 100) AS percent_off,
       strftime('%Y-%m-%d %H:%M:%f', discount.valid_from / 1e6, 'unixepoch') AS valid_from,
       strftime('%Y-%m-%d %H:%M:%f', discount.valid_till / 1e6, 'unixepoch') AS valid_till
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
            ELSE strftime('%Y-%m-%d %H:%M:%f', listed_rate.valid_from / 1e6, 'unixepoch') END AS valid_from,
       strftime('%Y-%m-%d %H:%M:%f', listed_rate.valid_till / 1e6, 'unixepoch') AS valid_till,
       strftime('%Y-%m-%d %H:%M:%f', rate_listing.listed_at / 1e6, 'unixepoch') AS listed_at,
       CASE WHEN rate_listing.defaults = rate_group.defaults AND NOT EXISTS (
                SELECT 1 FROM rate_sheet WHERE rate_sheet.rate_group_id = rate_group.id
                AND rate_sheet.id > rate_listing.rate_sheet_id) THEN 1 ELSE 0 END AS is_current
FROM listed_rate
JOIN rate_listing ON rate_listing.rate_group_id = listed_rate.rate_group_id
JOIN rate_group ON rate_group.id = listed_rate.rate_group_id;
