-- The first schema. Times are milliseconds since 1970 UTC, money is millionths of the project's currency.
-- Migrations are append-only: a released file is never edited; the next change is the next number.
-- Ids are AUTOINCREMENT wherever they leave the database (URLs, exports, ledgers): one is never given out twice.
-- Every foreign key has an index that begins with it, else deleting a parent would scan the child once a row.
-- A rowid is the last column of each index of its table: "ON sampling (cluster_id)" lists a cluster in order of images.

CREATE TABLE project (
  id               INTEGER PRIMARY KEY AUTOINCREMENT,
  name             TEXT NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 100),
  backbone         TEXT NOT NULL,
  currency         TEXT NOT NULL DEFAULT 'EUR',
  created_ms       INTEGER NOT NULL,
  published_run_id INTEGER,              -- the resample run that batches are taken from
  duplicate_threshold REAL               -- cosine; NULL: chosen from the pool each night
) STRICT;

CREATE TABLE class (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  project_id    INTEGER NOT NULL REFERENCES project(id) ON DELETE CASCADE,
  name          TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
  target_share  REAL CHECK (target_share BETWEEN 0 AND 1),   -- NULL: an equal part of what is left
  price_micros  INTEGER NOT NULL DEFAULT 0 CHECK (price_micros >= 0),
  seconds       REAL NOT NULL DEFAULT 0 CHECK (seconds >= 0),
  UNIQUE (project_id, name)
) STRICT;

-- A row exists once its vector is on the disk: `vector_row` is its place in the project's vectors file.
CREATE TABLE image (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  project_id  INTEGER NOT NULL REFERENCES project(id) ON DELETE CASCADE,
  sha256      BLOB NOT NULL CHECK (length(sha256) = 32),
  format      TEXT NOT NULL,
  width       INTEGER NOT NULL,
  height      INTEGER NOT NULL,
  n_bytes     INTEGER NOT NULL,
  vector_row  INTEGER NOT NULL CHECK (vector_row >= 0),
  created_ms  INTEGER NOT NULL,
  run_id      INTEGER,
  UNIQUE (project_id, sha256),
  UNIQUE (project_id, vector_row)
) STRICT;
CREATE INDEX image_by_project ON image (project_id);

-- Where an image was found: the same bytes under two paths are one image with two names. Size and time of change
-- let the next ingest pass over a file without reading it.
CREATE TABLE image_name (
  project_id  INTEGER NOT NULL REFERENCES project(id) ON DELETE CASCADE,
  path        TEXT NOT NULL,
  image_id    INTEGER NOT NULL REFERENCES image(id) ON DELETE CASCADE,
  n_bytes     INTEGER NOT NULL,
  mtime_ns    INTEGER NOT NULL,
  PRIMARY KEY (project_id, path)
) STRICT, WITHOUT ROWID;
CREATE INDEX image_name_by_image ON image_name (image_id, project_id, path);

-- Files that were refused, by name and with the reason.
CREATE TABLE refusal (
  project_id  INTEGER NOT NULL REFERENCES project(id) ON DELETE CASCADE,
  path        TEXT NOT NULL,
  status      INTEGER NOT NULL,           -- a gln_status
  reason      TEXT NOT NULL,
  n_bytes     INTEGER NOT NULL,
  mtime_ns    INTEGER NOT NULL,
  run_id      INTEGER,
  created_ms  INTEGER NOT NULL,
  PRIMARY KEY (project_id, path)
) STRICT, WITHOUT ROWID;

-- Every label ever given. At most one of an image is current; a new one or a retraction ends it.
CREATE TABLE label (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  project_id  INTEGER NOT NULL REFERENCES project(id) ON DELETE CASCADE,
  image_id    INTEGER NOT NULL REFERENCES image(id) ON DELETE CASCADE,
  class_id    INTEGER NOT NULL REFERENCES class(id),
  annotator   TEXT NOT NULL DEFAULT '',
  seconds     REAL CHECK (seconds >= 0),
  source      TEXT NOT NULL CHECK (source IN ('human', 'imported', 'proposed', 'simulated')),
  batch_id    INTEGER,
  created_ms  INTEGER NOT NULL,
  ended_ms    INTEGER                     -- superseded or retracted at; NULL: current
) STRICT;
CREATE UNIQUE INDEX label_current ON label (image_id) WHERE ended_ms IS NULL;
CREATE INDEX label_by_image ON label (image_id);
CREATE INDEX label_by_project ON label (project_id, ended_ms);
CREATE INDEX label_by_class ON label (class_id, ended_ms, image_id);

-- Ids are stable: a new clustering takes over the ids, names and notes of the old one by maximum overlap.
CREATE TABLE cluster (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  project_id    INTEGER NOT NULL REFERENCES project(id) ON DELETE CASCADE,
  name          TEXT NOT NULL DEFAULT '',
  notes         TEXT NOT NULL DEFAULT '',
  size          INTEGER NOT NULL DEFAULT 0,
  mean_distance REAL NOT NULL DEFAULT 0,  -- mean Euclidean distance of members to the centroid
  born_run_id   INTEGER,
  retired_run_id INTEGER                  -- NULL: part of the published clustering
) STRICT;
CREATE INDEX cluster_by_project ON cluster (project_id, retired_run_id);

CREATE TABLE cluster_medoid (
  cluster_id  INTEGER NOT NULL REFERENCES cluster(id) ON DELETE CASCADE,
  rank        INTEGER NOT NULL,
  image_id    INTEGER NOT NULL REFERENCES image(id) ON DELETE CASCADE,
  PRIMARY KEY (cluster_id, rank)
) STRICT, WITHOUT ROWID;
CREATE INDEX cluster_medoid_by_image ON cluster_medoid (image_id);

-- What the published resample run found out about each image.
CREATE TABLE sampling (
  image_id           INTEGER PRIMARY KEY REFERENCES image(id) ON DELETE CASCADE,
  project_id         INTEGER NOT NULL,
  cluster_id         INTEGER NOT NULL REFERENCES cluster(id),
  representative_id  INTEGER NOT NULL,    -- of its near-duplicate group; itself when it is alone
  predicted_class_id INTEGER,
  p_predicted        REAL,
  runner_up_class_id INTEGER,
  p_runner_up        REAL,
  probability        BLOB                 -- float32 little-endian, one a class in the order of class.id; NULL: no classifier
) STRICT;
CREATE INDEX sampling_by_cluster ON sampling (cluster_id);
CREATE INDEX sampling_by_prediction ON sampling (project_id, predicted_class_id);
CREATE INDEX sampling_by_representative ON sampling (representative_id);

-- Long jobs.
CREATE TABLE run (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  project_id   INTEGER NOT NULL REFERENCES project(id) ON DELETE CASCADE,
  kind         TEXT NOT NULL CHECK (kind IN ('ingest', 'resample', 'rebuild')),
  state        TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled', 'interrupted')),
  parameters   TEXT NOT NULL DEFAULT '{}',
  stage        TEXT NOT NULL DEFAULT '',
  n_done       INTEGER NOT NULL DEFAULT 0,
  n_total      INTEGER NOT NULL DEFAULT 0,
  rate         REAL NOT NULL DEFAULT 0,
  left_s       REAL,
  message      TEXT NOT NULL DEFAULT '',
  summary      TEXT NOT NULL DEFAULT '{}', -- JSON: counts of an ingest, model card and cluster report of a resample
  code_version TEXT NOT NULL,
  seed         INTEGER NOT NULL DEFAULT 0,
  snapshot_id  INTEGER,
  created_ms   INTEGER NOT NULL,
  started_ms   INTEGER,
  ended_ms     INTEGER
) STRICT;
CREATE INDEX run_by_project ON run (project_id);

CREATE TABLE batch (
  id               INTEGER PRIMARY KEY AUTOINCREMENT,
  project_id       INTEGER NOT NULL REFERENCES project(id) ON DELETE CASCADE,
  state            TEXT NOT NULL CHECK (state IN ('leased', 'returned', 'released', 'expired')),
  holder           TEXT NOT NULL DEFAULT '',
  request          TEXT NOT NULL,          -- JSON, as asked
  feasibility      TEXT NOT NULL,          -- JSON, as answered
  seed             INTEGER NOT NULL,
  run_id           INTEGER,                -- the published state it was taken from; NULL: none yet
  manifest_sha256  BLOB NOT NULL,
  idempotency_key  TEXT,
  request_sha256   BLOB,
  created_ms       INTEGER NOT NULL,
  expires_ms       INTEGER NOT NULL,
  closed_ms        INTEGER
) STRICT;
CREATE INDEX batch_by_project ON batch (project_id);
CREATE INDEX batch_open ON batch (expires_ms) WHERE state = 'leased';
CREATE UNIQUE INDEX batch_idempotency ON batch (project_id, idempotency_key) WHERE idempotency_key IS NOT NULL;

CREATE TABLE batch_item (
  batch_id        INTEGER NOT NULL REFERENCES batch(id) ON DELETE CASCADE,
  position        INTEGER NOT NULL,
  image_id        INTEGER NOT NULL REFERENCES image(id) ON DELETE CASCADE,
  state           TEXT NOT NULL CHECK (state IN ('leased', 'labelled', 'released', 'expired')),
  arm             TEXT NOT NULL CHECK (arm IN ('quota', 'explore', 'audit')),
  quota_class_id  INTEGER,
  predicted_class_id INTEGER,
  p_predicted     REAL,
  runner_up_class_id INTEGER,
  p_runner_up     REAL,
  cluster_id      INTEGER,
  nearest_image_id INTEGER,
  nearest_similarity REAL,
  represents      INTEGER NOT NULL DEFAULT 1,
  gain            REAL,
  price_micros    INTEGER NOT NULL,
  seconds         REAL,
  inclusion_probability REAL,
  reason          TEXT NOT NULL,
  PRIMARY KEY (batch_id, position)
) STRICT, WITHOUT ROWID;
-- Two leased batches never share an image: the database itself refuses it.
CREATE UNIQUE INDEX batch_item_leased ON batch_item (image_id) WHERE state = 'leased';
CREATE INDEX batch_item_by_image ON batch_item (image_id);

-- Money and minutes: reserved at lease, charged at return, refunded at release or expiry. Entries are never changed.
CREATE TABLE ledger (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  project_id    INTEGER NOT NULL REFERENCES project(id) ON DELETE CASCADE,
  batch_id      INTEGER,
  image_id      INTEGER,
  kind          TEXT NOT NULL CHECK (kind IN ('reserve', 'charge', 'refund')),
  amount_micros INTEGER NOT NULL,
  seconds       REAL NOT NULL DEFAULT 0,
  note          TEXT NOT NULL DEFAULT '',
  created_ms    INTEGER NOT NULL
) STRICT;
CREATE INDEX ledger_by_project ON ledger (project_id);
CREATE INDEX ledger_sums ON ledger (project_id, kind, amount_micros, seconds); -- the totals come from the index alone

-- A frozen set of labels: what a run was trained on, or a version that a person named.
CREATE TABLE snapshot (
  id               INTEGER PRIMARY KEY AUTOINCREMENT,
  project_id       INTEGER NOT NULL REFERENCES project(id) ON DELETE CASCADE,
  name             TEXT NOT NULL DEFAULT '',
  manifest_sha256  BLOB NOT NULL,
  n_labels         INTEGER NOT NULL,
  created_ms       INTEGER NOT NULL,
  UNIQUE (project_id, manifest_sha256)
) STRICT;
-- The hash and the class's name as they were: a snapshot outlives its images and the renaming of classes.
CREATE TABLE snapshot_class (
  snapshot_id  INTEGER NOT NULL REFERENCES snapshot(id) ON DELETE CASCADE,
  class_id     INTEGER NOT NULL,
  name         TEXT NOT NULL,
  PRIMARY KEY (snapshot_id, class_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE snapshot_label (
  snapshot_id  INTEGER NOT NULL REFERENCES snapshot(id) ON DELETE CASCADE,
  sha256       BLOB NOT NULL,             -- of the image
  image_id     INTEGER NOT NULL,
  class_id     INTEGER NOT NULL,
  PRIMARY KEY (snapshot_id, sha256)
) STRICT, WITHOUT ROWID;

-- Bearer tokens, kept as hashes.
CREATE TABLE token (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  sha256      BLOB NOT NULL UNIQUE,
  name        TEXT NOT NULL,
  role        TEXT NOT NULL CHECK (role IN ('viewer', 'annotator', 'lead', 'admin')),
  created_ms  INTEGER NOT NULL,
  revoked_ms  INTEGER
) STRICT;
