-- Who has signed in with a browser. A cookie's own text is nowhere: `id` is its SHA-256. `credential` is a keyed hash of what the
-- sign-in came from; where the configuration has that no more, the sign-in has ended.
CREATE TABLE sign_ins (
    id         TEXT PRIMARY KEY,
    project    TEXT NOT NULL,
    credential TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL,
    ends_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX sign_ins_by_end ON sign_ins (ends_at);

-- One-time links that were used, until they would have expired.
CREATE TABLE used_sign_in_links (
    nonce      TEXT PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT;
