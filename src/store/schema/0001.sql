-- Ids are arithmetic: instruction = batch.id << 27 | sequence, posting of a return or zero payment = the same number,
-- entry = posting * 4 + leg. So matching is indexing, and the clustered key is the exactly-once guard.
-- Dates are integers yyyymmdd, months yyyymm, money fen. Words of states are in src/store/words.rs, by position.

CREATE TABLE audit (                        -- one row per transaction; the chain of I11
    seq       INTEGER PRIMARY KEY,
    at        TEXT    NOT NULL,             -- business date and time of the act
    actor     TEXT    NOT NULL,
    action    TEXT    NOT NULL,
    subject   TEXT    NOT NULL,
    digest    BLOB    NOT NULL,             -- of the thing: bytes of a file, approved bytes, configuration
    postings  BLOB    NOT NULL,             -- of the transaction's postings, in order
    previous  BLOB    NOT NULL              -- digest over the row before
) STRICT;
CREATE INDEX audit_backup ON audit (seq) WHERE action = 'backup';

CREATE TABLE file (                         -- drop files: every one that ever arrived
    id          INTEGER PRIMARY KEY,
    name        TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    sender      TEXT    NOT NULL,           -- payer/district, bank key, bureau
    arrived     INTEGER NOT NULL,           -- business date
    sha256      BLOB    NOT NULL,
    size        INTEGER NOT NULL,
    state       INTEGER NOT NULL,
    accepted    INTEGER NOT NULL,
    refused     INTEGER NOT NULL,
    reason      TEXT    NOT NULL,
    archived    TEXT    NOT NULL,           -- path below state/
    progress    INTEGER NOT NULL DEFAULT 0, -- rows committed of a file taken in chunks
    receipt     TEXT    NOT NULL DEFAULT '',
    source      TEXT    NOT NULL DEFAULT '' -- which file of an inbox it was: inode and the kernel's time of its last change
) STRICT;
CREATE INDEX file_digest ON file (sha256);

CREATE TABLE participant (                  -- the key is the 17 digits of the ID number
    id            INTEGER PRIMARY KEY,
    name          TEXT    NOT NULL,
    district      TEXT    NOT NULL,
    tier          INTEGER NOT NULL,
    bank          INTEGER,
    bank_text     TEXT    NOT NULL,
    account       TEXT,
    account_name  TEXT,
    status        TEXT    NOT NULL,
    status_since  INTEGER NOT NULL,
    town          TEXT    NOT NULL,
    village       TEXT    NOT NULL,
    person_number TEXT    NOT NULL,
    file          INTEGER NOT NULL,
    line          INTEGER NOT NULL
) STRICT;

CREATE TABLE list (                         -- versions of lists, newest in force first by as_of, else arrival
    file      INTEGER PRIMARY KEY,
    payer     INTEGER NOT NULL,
    district  TEXT    NOT NULL,
    year      INTEGER NOT NULL,
    as_of     INTEGER,
    accepted  INTEGER NOT NULL,             -- business date
    late      INTEGER NOT NULL
) STRICT;
CREATE INDEX list_scope ON list (payer, district, year);

CREATE TABLE recognition (                  -- rows of the lists in force
    participant INTEGER NOT NULL,
    year        INTEGER NOT NULL,
    payer       INTEGER NOT NULL,
    district    TEXT    NOT NULL,
    category    INTEGER NOT NULL,
    name        TEXT    NOT NULL,
    file        INTEGER NOT NULL,
    line        INTEGER NOT NULL,
    PRIMARY KEY (participant, year, payer, district, category)
) STRICT, WITHOUT ROWID;
CREATE INDEX recognition_scope ON recognition (payer, district, year);

CREATE TABLE recognition_change (           -- identity history: never changed, only added to
    participant INTEGER NOT NULL,
    seq         INTEGER NOT NULL,
    year        INTEGER NOT NULL,
    payer       INTEGER NOT NULL,
    district    TEXT    NOT NULL,
    category    INTEGER NOT NULL,
    name        TEXT    NOT NULL,           -- as the list wrote it
    added       INTEGER NOT NULL,           -- 1 added, or named otherwise; 0 dropped
    on_day      INTEGER NOT NULL,
    file        INTEGER NOT NULL,
    PRIMARY KEY (participant, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX recognition_change_file ON recognition_change (file);

CREATE TABLE plan (                         -- a waiting plan whose instruction is settled is received: see plan_now
    participant INTEGER NOT NULL,
    fee_year    INTEGER NOT NULL,
    version     INTEGER NOT NULL,
    state       INTEGER NOT NULL,
    instruction INTEGER,                    -- the newest
    attempts    INTEGER NOT NULL DEFAULT 0,
    turns_limit INTEGER NOT NULL DEFAULT 0, -- 1: reaches the age limit within the fee year (R6)
    PRIMARY KEY (participant, fee_year)
) STRICT, WITHOUT ROWID;

CREATE TABLE plan_version (                 -- never changed, only added to (R7a)
    participant INTEGER NOT NULL,
    fee_year    INTEGER NOT NULL,
    version     INTEGER NOT NULL,
    from_day    INTEGER NOT NULL,
    tier        INTEGER NOT NULL,
    government  INTEGER NOT NULL,
    payer       INTEGER,
    category    INTEGER,
    district    TEXT,                       -- recognising district, which owes
    recognized  INTEGER,                    -- recognition year of its subsidy
    enrolled    TEXT    NOT NULL,           -- enrolment district at that time
    refusal     TEXT,                       -- why nothing is planned
    cause       INTEGER,                    -- file that caused it
    PRIMARY KEY (participant, fee_year, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE batch (
    id          INTEGER PRIMARY KEY,
    number      INTEGER NOT NULL UNIQUE,    -- 16 digits
    bank        INTEGER NOT NULL,           -- 0: zero-payment batch
    fee_year    INTEGER NOT NULL,
    debit_on    INTEGER NOT NULL,
    drafted_on  INTEGER NOT NULL,
    created     TEXT    NOT NULL,           -- drafting time, part of the approved bytes
    count       INTEGER NOT NULL,
    amount      INTEGER NOT NULL,
    sha256      BLOB    NOT NULL,
    file        TEXT    NOT NULL,
    control     TEXT    NOT NULL,           -- name of its control file, empty without one
    control_is  BLOB    NOT NULL,           -- bytes of its control file
    written_for TEXT    NOT NULL,           -- the bank as the configuration had it then, as JSON; empty without a bank
    state       INTEGER NOT NULL,
    sent_on     INTEGER,
    answered_on INTEGER
) STRICT;

CREATE TABLE batch_part (                   -- return files of a batch
    batch    INTEGER NOT NULL,
    part     INTEGER NOT NULL,
    is_final INTEGER NOT NULL,
    file     INTEGER NOT NULL,
    PRIMARY KEY (batch, part, file)
) STRICT, WITHOUT ROWID;

CREATE TABLE instruction (                  -- written once
    id          INTEGER PRIMARY KEY,
    participant INTEGER NOT NULL,
    version     INTEGER NOT NULL,           -- the plan version it was made from
    amount      INTEGER NOT NULL,
    government  INTEGER NOT NULL,
    receivable  INTEGER NOT NULL,           -- account of the government part, 0 for none
    echo        INTEGER NOT NULL,           -- digest of what the bank must echo
    attempt     INTEGER NOT NULL,
    previous    INTEGER
) STRICT;

CREATE TABLE instruction_state (            -- what moves, apart from what does not
    id      INTEGER PRIMARY KEY,
    state   INTEGER NOT NULL,
    outcome INTEGER,
    closer  INTEGER NOT NULL DEFAULT 0      -- 1: its plan changed or was paid elsewhere while it was live
) STRICT;

CREATE TABLE answer (                       -- first answer of each instruction
    instruction INTEGER PRIMARY KEY,
    file        INTEGER NOT NULL,
    line        INTEGER NOT NULL,
    outcome     INTEGER NOT NULL,
    amount      INTEGER NOT NULL,
    actual      INTEGER NOT NULL,
    booked_on   INTEGER,
    code        TEXT    NOT NULL,
    serial      TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE later_answer (                 -- any further one, kept beside it
    instruction INTEGER NOT NULL,
    file        INTEGER NOT NULL,
    line        INTEGER NOT NULL,
    outcome     INTEGER NOT NULL,
    amount      INTEGER NOT NULL,
    actual      INTEGER NOT NULL,
    booked_on   INTEGER,
    code        TEXT    NOT NULL,
    serial      TEXT    NOT NULL,
    PRIMARY KEY (instruction, file, line)
) STRICT, WITHOUT ROWID;

CREATE TABLE account (                      -- 1 to 4 are fixed, receivables follow
    id       INTEGER PRIMARY KEY,
    payer    INTEGER,
    district TEXT,
    UNIQUE (payer, district)
) STRICT;
INSERT INTO account (id) VALUES (1), (2), (3), (4), (15);

CREATE TABLE posting (
    id        INTEGER PRIMARY KEY,
    event     INTEGER NOT NULL,
    booked_on INTEGER NOT NULL,
    month     INTEGER NOT NULL,
    txn       INTEGER NOT NULL              -- audit.seq
) STRICT, WITHOUT ROWID;

CREATE TABLE entry (
    id     INTEGER PRIMARY KEY,
    debit  INTEGER NOT NULL,
    credit INTEGER NOT NULL,
    amount INTEGER NOT NULL CHECK (amount > 0)
) STRICT, WITHOUT ROWID;

CREATE TABLE posted_span (                  -- where the postings of a transaction lie: what is new is found without an index
    txn   INTEGER NOT NULL,                 -- audit.seq
    batch INTEGER NOT NULL,                 -- posting.id >> 27; 0 for postings under keys of their own
    first INTEGER NOT NULL,
    last  INTEGER NOT NULL,
    PRIMARY KEY (txn, batch)
) STRICT, WITHOUT ROWID;

CREATE TABLE batch_day (                    -- first money of a batch's instructions on the collection account, by booking date
    batch     INTEGER NOT NULL,
    booked_on INTEGER NOT NULL,
    amount    INTEGER NOT NULL,
    count     INTEGER NOT NULL,
    PRIMARY KEY (batch, booked_on)
) STRICT, WITHOUT ROWID;

CREATE TABLE posting_key (                  -- identity of the postings whose number is not that of an instruction
    key         TEXT    PRIMARY KEY,
    posting     INTEGER NOT NULL UNIQUE,
    digest      BLOB    NOT NULL,           -- of the content behind the key: same key, other content is a conflict
    participant INTEGER,
    fee_year    INTEGER,
    version     INTEGER,
    instruction INTEGER,
    undoes      INTEGER,                    -- the posting that this one takes back
    corrects    INTEGER,                    -- the posting in which this one rights what was wrong; that one stands
    file        INTEGER,
    line        INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX posting_key_plan ON posting_key (participant, fee_year);
CREATE INDEX posting_key_undoes ON posting_key (undoes) WHERE undoes IS NOT NULL;
CREATE INDEX posting_key_corrects ON posting_key (corrects) WHERE corrects IS NOT NULL;
CREATE INDEX posting_key_instruction ON posting_key (instruction) WHERE instruction IS NOT NULL;

CREATE TABLE ex_post (                      -- due to the person, never in the ledger (R14)
    id          INTEGER PRIMARY KEY,
    participant INTEGER NOT NULL,
    fee_year    INTEGER NOT NULL,
    payer       INTEGER NOT NULL,
    category    INTEGER NOT NULL,
    district    TEXT    NOT NULL,
    paid        INTEGER NOT NULL,
    amount      INTEGER NOT NULL,
    booked_on   INTEGER NOT NULL,
    due_on      INTEGER NOT NULL,           -- the later of payment date and list acceptance (R15)
    state       INTEGER NOT NULL,
    txn         INTEGER NOT NULL,           -- audit.seq in which it was found
    withdrawn   INTEGER,                    -- audit.seq in which the own money was known to have gone back
    list        INTEGER,                    -- the list that names it
    name        TEXT    NOT NULL DEFAULT '',-- as that list has it
    answered_on INTEGER,                    -- the day on which its payer says that it was paid, or was not
    file        INTEGER,                    -- where its payer says so
    line        INTEGER
) STRICT;
CREATE UNIQUE INDEX ex_post_standing ON ex_post (participant, fee_year) WHERE state <> 4;
CREATE INDEX ex_post_person ON ex_post (participant, fee_year);

CREATE TABLE ex_post_list (                 -- lists in payers' folders: written once
    id       INTEGER PRIMARY KEY,
    payer    INTEGER NOT NULL,
    district TEXT    NOT NULL,
    fee_year INTEGER NOT NULL,
    number   INTEGER NOT NULL,              -- 1, 2, 3 … of that payer, district and fee year
    made_on  INTEGER NOT NULL,
    people   INTEGER NOT NULL,
    amount   INTEGER NOT NULL,
    name     TEXT    NOT NULL,              -- of its file
    sha256   BLOB    NOT NULL,
    archived TEXT    NOT NULL,              -- path below state/archive
    UNIQUE (payer, district, fee_year, number)
) STRICT;

CREATE TABLE settlement (                   -- one for each settlement year, payer and owing district (R15)
    id           INTEGER PRIMARY KEY,
    year         INTEGER NOT NULL,
    payer        INTEGER NOT NULL,
    district     TEXT    NOT NULL,
    state        INTEGER NOT NULL,
    ends_on      INTEGER NOT NULL,          -- last day of the settlement year
    transfer_due INTEGER NOT NULL,
    people       INTEGER NOT NULL,
    deemed       INTEGER NOT NULL,          -- owed to the collection account; below zero where more is taken back
    ex_post      INTEGER NOT NULL,          -- owed to the people themselves
    sha256       BLOB    NOT NULL,          -- of its summary and its name list, one after the other
    drafted_on   INTEGER NOT NULL,
    approved     INTEGER,                   -- audit.seq
    approved_on  INTEGER,
    sent_on      INTEGER,
    cleared_on   INTEGER,
    UNIQUE (year, payer, district)
) STRICT;

CREATE TABLE settlement_item (              -- each claim is in one settlement at most; of an approved one it never moves
    kind        INTEGER NOT NULL,           -- 0 an entry, 1 an ex-post subsidy, 2 its withdrawal
    item        INTEGER NOT NULL,           -- entry.id, ex_post.id
    settlement  INTEGER NOT NULL,
    participant INTEGER NOT NULL,
    name        TEXT    NOT NULL,
    fee_year    INTEGER NOT NULL,
    category    INTEGER NOT NULL,
    amount      INTEGER NOT NULL,           -- below zero for what takes back
    late        INTEGER NOT NULL,           -- 1: it came too late for the year by which it counts
    back        INTEGER NOT NULL,           -- 1: takes back what an earlier settlement claimed
    PRIMARY KEY (kind, item)
) STRICT, WITHOUT ROWID;
CREATE INDEX settlement_item_of ON settlement_item (settlement);

CREATE TABLE transfer (                     -- payers' money, by its posting (R16)
    posting         INTEGER PRIMARY KEY,
    payer           INTEGER NOT NULL,
    district        TEXT    NOT NULL,
    settlement_year INTEGER NOT NULL,
    reference       TEXT    NOT NULL,
    amount          INTEGER NOT NULL,
    received_on     INTEGER NOT NULL,
    late            INTEGER NOT NULL        -- 1: received after the settlement's transfer_due
) STRICT;

CREATE TABLE clearing (                     -- what a posting of a payer's money clears, of which settlement
    posting    INTEGER PRIMARY KEY,
    settlement INTEGER NOT NULL,
    transfer   INTEGER NOT NULL,            -- the posting that the money came with
    amount     INTEGER NOT NULL CHECK (amount > 0)
) STRICT;
CREATE INDEX clearing_of ON clearing (settlement);
CREATE INDEX clearing_from ON clearing (transfer);

CREATE TABLE exception (
    id          INTEGER PRIMARY KEY,
    class       TEXT    NOT NULL,
    resolved    INTEGER NOT NULL DEFAULT 0,
    participant INTEGER,
    fee_year    INTEGER,
    instruction INTEGER,
    file        INTEGER,
    line        INTEGER,
    posting     INTEGER,                    -- where its money went
    amount      INTEGER NOT NULL DEFAULT 0, -- money it holds in suspense
    reason      TEXT    NOT NULL,
    opened_on   INTEGER NOT NULL,
    resolution  TEXT    NOT NULL DEFAULT '',
    held_on     INTEGER                     -- of a rest: when the bank booked its money
) STRICT;
CREATE INDEX exception_open ON exception (participant, fee_year) WHERE resolved = 0;
CREATE INDEX exception_holding ON exception (posting) WHERE resolved = 0;

CREATE TABLE approval (                     -- maker and checker (R21)
    id      INTEGER PRIMARY KEY,
    kind    TEXT    NOT NULL,
    subject TEXT    NOT NULL,               -- batch number, exception id, list file id
    request TEXT    NOT NULL,               -- what is asked, as JSON
    digest  BLOB    NOT NULL,               -- of what was shown
    maker   TEXT    NOT NULL,
    made_on INTEGER NOT NULL,
    state   INTEGER NOT NULL,               -- 0 waiting, 1 approved, 2 void
    checker TEXT    NOT NULL DEFAULT '',
    CHECK (checker = '' OR checker = 'system' OR checker <> maker)
) STRICT;

CREATE TABLE confirmation (                 -- what a clerk said of a name: on a list (R17), of an account's holder (R18)
    participant INTEGER NOT NULL,
    class       TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    PRIMARY KEY (participant, class, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE zero_row (                     -- rows of zero-payment batches (R9); id as that of an instruction
    id          INTEGER PRIMARY KEY,
    participant INTEGER NOT NULL,
    version     INTEGER NOT NULL,
    government  INTEGER NOT NULL
) STRICT;

CREATE TABLE closed_month (month INTEGER PRIMARY KEY, closed_on INTEGER NOT NULL) STRICT;

CREATE TABLE window (                       -- the schedule: (date, step), due, done or missed
    day   INTEGER NOT NULL,
    step  TEXT    NOT NULL,
    at    TEXT    NOT NULL,
    state TEXT    NOT NULL,
    PRIMARY KEY (day, step)
) STRICT, WITHOUT ROWID;

CREATE TABLE outbox (                       -- decided, not yet done: receipts
    id     INTEGER PRIMARY KEY,
    folder TEXT    NOT NULL,                -- below drops/
    name   TEXT    NOT NULL,
    bytes  BLOB    NOT NULL
) STRICT;

CREATE TABLE comparison (                   -- R19: what the next comparison is held against
    id      INTEGER PRIMARY KEY,
    year    INTEGER NOT NULL,               -- recognition year
    month   INTEGER NOT NULL,
    made_on INTEGER NOT NULL
) STRICT;

CREATE TABLE comparison_row (               -- one difference about one person
    comparison  INTEGER NOT NULL,
    district    TEXT    NOT NULL,           -- that recognised
    class       INTEGER NOT NULL,
    participant INTEGER NOT NULL,
    PRIMARY KEY (comparison, district, class, participant)
) STRICT, WITHOUT ROWID;

CREATE TABLE comparison_count (             -- how many stood where
    comparison INTEGER NOT NULL,
    district   TEXT    NOT NULL,
    what       TEXT    NOT NULL,            -- enrolled, normal, a payer's word
    people     INTEGER NOT NULL,
    PRIMARY KEY (comparison, district, what)
) STRICT, WITHOUT ROWID;

CREATE TABLE delivery (                     -- how far each file of a batch may have come: recorded before the act
    batch    INTEGER NOT NULL,
    part     INTEGER NOT NULL,              -- 0 the data file, 1 its control file
    stage    INTEGER NOT NULL,
    evidence TEXT    NOT NULL,              -- what showed that it is there
    PRIMARY KEY (batch, part)
) STRICT, WITHOUT ROWID;

CREATE TABLE fetched (                      -- files of banks' own servers, by what is said of them there
    bank   INTEGER NOT NULL,
    name   BLOB    NOT NULL,
    size   INTEGER NOT NULL,
    mtime  INTEGER NOT NULL,                -- seconds since 1970, by the bank's clock
    sha256 BLOB    NOT NULL,
    gone   INTEGER NOT NULL,                -- 1: we deleted or moved it; what is said alike now is another file
    PRIMARY KEY (bank, name, size, mtime)
) STRICT, WITHOUT ROWID;

CREATE TABLE line (                         -- connections to banks' own servers that failed
    bank     INTEGER PRIMARY KEY,
    failures INTEGER NOT NULL,
    retry_at INTEGER NOT NULL,              -- seconds since 1970: not before
    blocked  INTEGER NOT NULL,              -- 1: a person must look first
    trouble  TEXT    NOT NULL,              -- what happened the last time
    profile  BLOB    NOT NULL               -- digest of the profile that failed: another one is tried at once
) STRICT;

CREATE TABLE statement (                    -- lines of the collection account's statements (R22)
    id        INTEGER PRIMARY KEY,
    bank      INTEGER NOT NULL,
    serial    TEXT    NOT NULL,
    booked_on INTEGER NOT NULL,
    amount    INTEGER NOT NULL,             -- money going out is negative
    reference TEXT    NOT NULL,
    bundle    TEXT    NOT NULL,             -- what its money belongs to, as domain::reconciling writes it
    posting   INTEGER,                      -- the one posting that it shows, where it is one
    file      INTEGER NOT NULL,
    line      INTEGER NOT NULL,
    UNIQUE (bank, serial)
) STRICT;
CREATE INDEX statement_posting ON statement (posting) WHERE posting IS NOT NULL;
CREATE INDEX statement_waiting ON statement (reference, amount) WHERE posting IS NOT NULL;

CREATE TABLE fix (                          -- a name or an account that was put right on evidence (R21)
    id          INTEGER PRIMARY KEY,
    participant INTEGER NOT NULL,
    field       TEXT    NOT NULL,           -- name, bank, account, account_name
    old         TEXT    NOT NULL,
    new         TEXT    NOT NULL,
    evidence    TEXT    NOT NULL,
    reason      TEXT    NOT NULL,
    maker       TEXT    NOT NULL,
    checker     TEXT    NOT NULL,
    on_day      INTEGER NOT NULL
) STRICT;
CREATE INDEX fix_participant ON fix (participant);

CREATE TABLE feed_file (                    -- files of postings for the business system, without gaps
    number   INTEGER PRIMARY KEY,
    from_txn INTEGER NOT NULL,              -- first and last audit row whose postings it has
    to_txn   INTEGER NOT NULL,
    rows     INTEGER NOT NULL,
    amount   INTEGER NOT NULL,
    previous BLOB    NOT NULL,              -- digest of the file before it; zeros for the first
    sha256   BLOB    NOT NULL,              -- of its own bytes, which are made again from the postings
    made_on  INTEGER NOT NULL,
    is_out   INTEGER NOT NULL DEFAULT 0,    -- 1: it lies in the folder
    acked_on INTEGER
) STRICT;

CREATE VIEW plan_now AS                     -- 1 waiting, 5 received; 3 settled
SELECT p.participant, p.fee_year, p.version, p.instruction, p.attempts, p.turns_limit, s.state AS asked,
       CASE WHEN p.state = 1 AND s.state = 3 THEN 5 ELSE p.state END AS state
FROM plan p LEFT JOIN instruction_state s ON s.id = p.instruction;

CREATE VIEW undoing AS                      -- postings that take back, or put right, something of another one
SELECT posting, undoes AS origin FROM posting_key WHERE undoes IS NOT NULL
UNION ALL SELECT posting, corrects FROM posting_key WHERE corrects IS NOT NULL;

CREATE VIEW settled_origin AS               -- what a posting undoes, back to the first: whether a settlement has it for good
WITH RECURSIVE back (posting, origin) AS (
    SELECT posting, origin FROM undoing
    UNION SELECT b.posting, u.origin FROM back b JOIN undoing u ON u.posting = b.origin)
SELECT b.posting, min(p.booked_on) AS booked_on, max(t.ends_on) AS ends_on
FROM back b CROSS JOIN posting p ON p.id = b.origin
LEFT JOIN settlement_item m ON m.kind = 0 AND m.item BETWEEN b.origin * 4 AND b.origin * 4 + 3
LEFT JOIN settlement t ON t.id = m.settlement AND t.state > 0
GROUP BY b.posting;

CREATE VIEW claim AS                        -- everything that a settlement counts, with the day by which it counts (R15)
SELECT 0 AS kind, e.id AS item, a.payer, a.district,
       coalesce(k.participant, i.participant) AS participant, coalesce(k.fee_year, b.fee_year) AS fee_year,
       (SELECT v.category FROM plan_version v
        WHERE v.participant = coalesce(k.participant, i.participant) AND v.fee_year = coalesce(k.fee_year, b.fee_year)
          AND v.version = coalesce(k.version, i.version)) AS category,
       CASE WHEN e.credit = 4 THEN e.amount ELSE -e.amount END AS amount,
       coalesce(o.ends_on, o.booked_on, p.booked_on) AS counts_on,         -- it joins what it undoes
       p.txn, e.debit = 4 AND o.ends_on IS NOT NULL AS back
FROM entry e
JOIN posting p ON p.id = e.id >> 2
JOIN account a ON a.id = CASE WHEN e.credit = 4 THEN e.debit ELSE e.credit END
LEFT JOIN settled_origin o ON o.posting = e.id >> 2
LEFT JOIN undoing u ON u.posting = e.id >> 2
LEFT JOIN posting_key k ON k.posting = CASE WHEN e.credit = 4 THEN e.id >> 2 ELSE coalesce(u.origin, e.id >> 2) END
LEFT JOIN instruction i ON i.id = CASE WHEN e.credit = 4 THEN e.id >> 2 ELSE coalesce(u.origin, e.id >> 2) END
LEFT JOIN batch b ON b.id = CASE WHEN e.credit = 4 THEN e.id >> 2 ELSE coalesce(u.origin, e.id >> 2) END >> 27
WHERE e.credit = 4 OR e.debit = 4
UNION ALL
SELECT 1, id, payer, district, participant, fee_year, category, amount, due_on, txn, 0 FROM ex_post
UNION ALL
SELECT 2, x.id, x.payer, x.district, x.participant, x.fee_year, x.category, -x.amount, coalesce(t.ends_on, x.due_on),
       x.withdrawn, t.ends_on IS NOT NULL
FROM ex_post x
LEFT JOIN settlement_item m ON m.kind = 1 AND m.item = x.id
LEFT JOIN settlement t ON t.id = m.settlement AND t.state > 0
WHERE x.state = 4;

CREATE TRIGGER posting_is_final BEFORE UPDATE ON posting BEGIN SELECT RAISE(ABORT, 'a posting is never changed'); END;
CREATE TRIGGER posting_stays BEFORE DELETE ON posting BEGIN SELECT RAISE(ABORT, 'a posting is never deleted'); END;
CREATE TRIGGER entry_is_final BEFORE UPDATE ON entry BEGIN SELECT RAISE(ABORT, 'an entry is never changed'); END;
CREATE TRIGGER entry_stays BEFORE DELETE ON entry BEGIN SELECT RAISE(ABORT, 'an entry is never deleted'); END;
CREATE TRIGGER audit_is_final BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is never changed'); END;
CREATE TRIGGER clearing_is_final BEFORE UPDATE ON clearing BEGIN SELECT RAISE(ABORT, 'a clearing is never changed'); END;
CREATE TRIGGER clearing_stays BEFORE DELETE ON clearing BEGIN SELECT RAISE(ABORT, 'a clearing is never deleted'); END;
CREATE TRIGGER settlement_stays BEFORE DELETE ON settlement WHEN OLD.state > 0
BEGIN SELECT RAISE(ABORT, 'an approved settlement is never deleted'); END;
CREATE TRIGGER claim_is_final BEFORE UPDATE ON settlement_item BEGIN SELECT RAISE(ABORT, 'a claim is never changed'); END;
CREATE TRIGGER claim_stays BEFORE DELETE ON settlement_item
WHEN (SELECT state FROM settlement WHERE id = OLD.settlement) > 0
BEGIN SELECT RAISE(ABORT, 'a claim of an approved settlement never moves'); END;
CREATE TRIGGER audit_stays BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is never deleted'); END;
