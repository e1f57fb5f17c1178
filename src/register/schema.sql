-- Schema 1 of the register. Moments are microseconds since 1970 UTC; words are those of `consent`, sets of words are
-- separated by one blank, so that an operator can read everything with sqlite3. No address stands here in clear:
-- `subject` is a keyed hash, `sealed_address` is encrypted under the sealing key.

-- Fingerprints of the keys of this register; a process with another key refuses to start. The highest generation of a
-- kind is the current one. An older one is needed until `retired_at`: from then on nothing stands under it.
CREATE TABLE fingerprints (
    kind        TEXT    NOT NULL,
    generation  INTEGER NOT NULL,
    fingerprint TEXT    NOT NULL,
    retired_at  INTEGER,
    PRIMARY KEY (kind, generation)
) STRICT, WITHOUT ROWID;

-- One person as one controller knows them. `sealed_address` is empty once the person is erased.
CREATE TABLE subjects (
    id             INTEGER PRIMARY KEY,
    subject        BLOB NOT NULL UNIQUE CHECK (length(subject) = 32),
    controller     TEXT NOT NULL,
    sealed_address BLOB
) STRICT;

-- Every assertion that was received, claims included. Rows are added, never changed.
CREATE TABLE changes (
    n               INTEGER PRIMARY KEY,
    id              BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    subject         INTEGER NOT NULL REFERENCES subjects (id),
    state           TEXT    NOT NULL,
    purposes        TEXT    NOT NULL,
    at              INTEGER,
    recorded_at     INTEGER NOT NULL,
    channel         TEXT,
    wording_version TEXT,
    wording_sha256  BLOB CHECK (length(wording_sha256) = 32)
) STRICT;
CREATE INDEX changes_by_subject ON changes (subject);

-- When an address was collected and what its owner was told. Rows are added, never changed.
CREATE TABLE contacts (
    n                 INTEGER PRIMARY KEY,
    id                BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    subject           INTEGER NOT NULL REFERENCES subjects (id),
    collected_at      INTEGER,
    informed_at       INTEGER,
    notice            TEXT,
    informed_purposes TEXT    NOT NULL,
    country           TEXT,
    address_kind      TEXT,
    recorded_at       INTEGER NOT NULL
) STRICT;
CREATE INDEX contacts_by_subject ON contacts (subject);

-- What the changes add up to, written in the transaction that adds them; `claimed` has neither moment nor proof.
CREATE TABLE standings (
    subject BLOB    NOT NULL,
    purpose TEXT    NOT NULL,
    state   TEXT    NOT NULL,
    at      INTEGER,
    proof   BLOB,
    PRIMARY KEY (subject, purpose)
) STRICT, WITHOUT ROWID;
