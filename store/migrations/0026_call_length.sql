-- V-11: the most seconds that a call placed by the account may last; null: as long as any call.
ALTER TABLE account ADD COLUMN call_seconds_max BIGINT CHECK (call_seconds_max BETWEEN 1 AND 2592000);
