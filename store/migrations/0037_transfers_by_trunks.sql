-- Whether a trunk may transfer calls; its account pays for those that follow.
ALTER TABLE trunk_interworking ADD COLUMN may_transfer INTEGER NOT NULL DEFAULT 0 CHECK (may_transfer IN (0, 1));
