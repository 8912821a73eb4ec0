-- For people: amounts with their decimals, times as text. PostgreSQL's own functions; sqlite.sql has the
-- same views for SQLite. Change both: a test compares their columns.

DROP VIEW IF EXISTS cdr_readable;
DROP VIEW IF EXISTS posting_readable;
DROP VIEW IF EXISTS account_balance_readable;

CREATE VIEW cdr_readable AS
SELECT lpad(to_hex(call_id), 16, '0') AS call, leg, direction, cdr.account_id, account.name AS account,
       cdr.site_id, site.name AS site, subscriber_id, trunk_id,
       coalesce(trunk.friendly_name, trunk.name) AS trunk, remote, sip_call_id, cli, cld, caller,
       destination, destination_name,
       to_char(to_timestamp(started_at / 1e6) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS') AS started_at,
       post_dial_delay_us / 1e6 AS post_dial_delay_s,
       to_char(to_timestamp(answered_at / 1e6) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS') AS answered_at,
       to_char(to_timestamp(ended_at / 1e6) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS') AS ended_at,
       (coalesce(answered_at, ended_at) - ringing_at) / 1e6 AS ring_s,
       talked_us / 1e6 AS talked_s, billed_us / 1000000 AS billed_s, bundle_us / 1000000 AS bundle_s,
       cause, q850, sip_status, released_by,
       round(amount / 1e6, 6)::text AS amount,
       cdr.currency, cdr.rate_group_id, rate_sheet_version, rate_prefix, price, connect_fee,
       first_increment_s, next_increment_s, rate_terms, error_code, generation, report_currency,
       round(report_rate / 1e9, 9)::text AS report_rate
FROM cdr
LEFT JOIN account ON account.id = cdr.account_id
LEFT JOIN site ON site.id = cdr.site_id
LEFT JOIN trunk ON trunk.id = cdr.trunk_id;

CREATE VIEW posting_readable AS
SELECT encode(op_id, 'hex') AS op_id, kind, debit_account_id, credit_account_id,
       round(amount / 1e6, 6)::text AS amount, currency,
       to_char(to_timestamp(at / 1e6) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS') AS at,
       lpad(to_hex(call_id), 16, '0') AS call, leg, note
FROM posting;

-- `balance` is what was received less what was taken; `pending` is reserved by live calls.
CREATE VIEW account_balance_readable AS
SELECT account_id,
       round((credits_posted - debits_posted) / 1e6, 6)::text AS balance,
       round(debits_pending / 1e6, 6)::text AS pending,
       round(credits_posted / 1e6, 6)::text AS received,
       round(debits_posted / 1e6, 6)::text AS taken
FROM account_balance;
