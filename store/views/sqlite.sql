-- For people: amounts with their decimals, times as text. SQLite's own functions; postgres.sql has the
-- same views for PostgreSQL. Change both: a test compares their columns.

DROP VIEW IF EXISTS cdr_readable;
DROP VIEW IF EXISTS posting_readable;
DROP VIEW IF EXISTS account_balance_readable;

CREATE VIEW cdr_readable AS
SELECT printf('%016x', call_id) AS call, leg, direction, cdr.account_id, account.name AS account,
       cdr.site_id, site.name AS site, subscriber_id, trunk_id,
       coalesce(trunk.friendly_name, trunk.name) AS trunk, remote, sip_call_id, cli, cld, caller,
       destination, destination_name,
       strftime('%Y-%m-%d %H:%M:%f', started_at / 1e6, 'unixepoch') AS started_at,
       post_dial_delay_us / 1e6 AS post_dial_delay_s,
       strftime('%Y-%m-%d %H:%M:%f', answered_at / 1e6, 'unixepoch') AS answered_at,
       strftime('%Y-%m-%d %H:%M:%f', ended_at / 1e6, 'unixepoch') AS ended_at,
       (coalesce(answered_at, ended_at) - ringing_at) / 1e6 AS ring_s,
       talked_us / 1e6 AS talked_s, billed_us / 1000000 AS billed_s, bundle_us / 1000000 AS bundle_s,
       cause, q850, sip_status, released_by,
       CASE WHEN amount < 0 THEN '-' ELSE '' END
           || printf('%d.%06d', abs(amount) / 1000000, abs(amount) % 1000000) AS amount,
       cdr.currency, cdr.rate_group_id, rate_sheet_version, rate_prefix, price, connect_fee,
       first_increment_s, next_increment_s, rate_terms, error_code, generation, report_currency,
       CASE WHEN report_rate IS NULL THEN NULL
            ELSE printf('%d.%09d', report_rate / 1000000000, report_rate % 1000000000) END AS report_rate
FROM cdr
LEFT JOIN account ON account.id = cdr.account_id
LEFT JOIN site ON site.id = cdr.site_id
LEFT JOIN trunk ON trunk.id = cdr.trunk_id;

CREATE VIEW posting_readable AS
SELECT lower(hex(op_id)) AS op_id, kind, debit_account_id, credit_account_id,
       printf('%d.%06d', amount / 1000000, amount % 1000000) AS amount, currency,
       strftime('%Y-%m-%d %H:%M:%f', at / 1e6, 'unixepoch') AS at,
       CASE WHEN call_id IS NULL THEN NULL ELSE printf('%016x', call_id) END AS call, leg, note
FROM posting;

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
