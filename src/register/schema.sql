-- Schema 2 of the register. Moments in columns are microseconds since 1970 UTC; words are those of `consent`, so that an
-- operator can read everything with sqlite3. No address stands here in clear: `subject` is a keyed hash,
-- `sealed_address` is encrypted under the sealing key, `defence.sealed` under the defence key.

-- Fingerprints of the keys of this register; a process with another key refuses to start. The highest generation of a
-- kind is the current one; `unfinished` while rows are being carried over to it. An older one is needed until
-- `retired_at`: from then on nothing stands under it.
CREATE TABLE fingerprints (
    kind        TEXT    NOT NULL,
    generation  INTEGER NOT NULL,
    fingerprint TEXT    NOT NULL,
    unfinished  INTEGER NOT NULL DEFAULT 0,
    retired_at  INTEGER,
    PRIMARY KEY (kind, generation)
) STRICT, WITHOUT ROWID;

CREATE TABLE controllers (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

-- One person as one controller knows them. `subject` and `generation` change when the look-up key is rotated; `id` and
-- `seed` never do. `contact` is what the contact records add up to. `erased_at` is the moment of the latest tombstone:
-- what counts from no later than that is not taken again. `sealed_address` is empty once the person is gone.
CREATE TABLE subjects (
    id             INTEGER PRIMARY KEY,
    controller     INTEGER NOT NULL REFERENCES controllers (id),
    generation     INTEGER NOT NULL,
    subject        BLOB    NOT NULL UNIQUE CHECK (length(subject) = 32),
    seed           BLOB    NOT NULL CHECK (length(seed) = 16),
    sealed_address BLOB,
    contact        TEXT,
    erased_at      INTEGER
) STRICT;

-- What everybody who went through one form was shown and did: once, however many records rest on it.
CREATE TABLE evidence (
    id     INTEGER PRIMARY KEY,
    sha256 BLOB NOT NULL UNIQUE CHECK (length(sha256) = 32),
    body   TEXT NOT NULL
) STRICT;

-- The chain of each controller, n from 1 without gaps. `kind`: change, contact, erasure, expiry. Of what was blanked
-- only the commitment stays, and `blanked_by`, the n of the erasure or expiry that says so.
CREATE TABLE records (
    controller INTEGER NOT NULL REFERENCES controllers (id),
    n          INTEGER NOT NULL,
    id         BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    person     INTEGER REFERENCES subjects (id),
    kind       TEXT    NOT NULL,
    evidence   INTEGER REFERENCES evidence (id),
    salt       BLOB CHECK (length(salt) = 16),
    payload    TEXT,
    commitment BLOB CHECK (length(commitment) = 32),
    blanked_by INTEGER,
    hash       BLOB    NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (controller, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX records_by_person ON records (person);

-- What the changes add up to, written in the transaction that adds them; `claimed` has neither moment nor proof.
-- `evidence` is named where the form says more than the state: who was shown, or a combined yes.
CREATE TABLE standings (
    person   INTEGER NOT NULL REFERENCES subjects (id),
    purpose  TEXT    NOT NULL,
    state    TEXT    NOT NULL,
    at       INTEGER,
    proof    BLOB,
    evidence INTEGER REFERENCES evidence (id),
    PRIMARY KEY (person, purpose)
) STRICT, WITHOUT ROWID;

-- The proof that past keeps rested on, of people who were erased; sealed under a key of its own, kept for its own period.
CREATE TABLE defence (
    id      INTEGER PRIMARY KEY,
    person  INTEGER NOT NULL REFERENCES subjects (id),
    made_at INTEGER NOT NULL,
    sealed  BLOB    NOT NULL
) STRICT;
CREATE INDEX defence_by_person ON defence (person);
