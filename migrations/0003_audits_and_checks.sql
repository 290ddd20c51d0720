-- Labels proposed for many images at once, taken after an audit of a random sample; second looks at labels that look wrong.

-- One audit of one lot: images that a label was proposed for, when the audit was asked for.
CREATE TABLE audit (
  id              INTEGER PRIMARY KEY AUTOINCREMENT,
  project_id      INTEGER NOT NULL REFERENCES project(id) ON DELETE CASCADE,
  kind            TEXT NOT NULL CHECK (kind IN ('cluster', 'clusters', 'duplicates')),
  cluster_id      INTEGER,                -- of kind cluster
  class_id        INTEGER,                -- proposed; NULL: each image its own, see audit_image
  attempt         INTEGER NOT NULL,       -- of this group, from 1: later ones are held to a higher confidence
  bound           REAL NOT NULL,          -- asked: the share of accepted labels that may be wrong
  confidence      REAL NOT NULL,          -- asked
  confidence_used REAL NOT NULL,          -- of this attempt
  n_images        INTEGER NOT NULL,       -- the lot, those drawn included
  n_drawn         INTEGER NOT NULL,
  n_allowed       INTEGER NOT NULL,       -- of these so many may disagree
  evidence        TEXT NOT NULL,          -- JSON: what spoke for it
  seed            INTEGER NOT NULL,
  run_id          INTEGER NOT NULL,       -- the published state it was made from
  batch_id        INTEGER NOT NULL,       -- the lease of the drawn images
  state           TEXT NOT NULL CHECK (state IN ('open', 'accepted', 'undone')),
  requested_by    TEXT NOT NULL DEFAULT '',
  accepted_by     TEXT NOT NULL DEFAULT '',
  accepted_bound  REAL,                   -- the error bound at acceptance
  n_accepted      INTEGER NOT NULL DEFAULT 0, -- labels that the acceptance wrote
  idempotency_key TEXT,
  request_sha256  BLOB,
  created_ms      INTEGER NOT NULL,
  accepted_ms     INTEGER,
  undone_ms       INTEGER
) STRICT;
CREATE INDEX audit_by_project ON audit (project_id);
CREATE UNIQUE INDEX audit_idempotency ON audit (project_id, idempotency_key) WHERE idempotency_key IS NOT NULL;

CREATE TABLE audit_image (
  audit_id  INTEGER NOT NULL REFERENCES audit(id) ON DELETE CASCADE,
  image_id  INTEGER NOT NULL REFERENCES image(id) ON DELETE CASCADE,
  class_id  INTEGER NOT NULL,             -- proposed
  drawn     INTEGER NOT NULL,             -- 1: in the random sample that a person labels
  PRIMARY KEY (audit_id, image_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX audit_image_by_image ON audit_image (image_id);

ALTER TABLE label ADD COLUMN audit_id INTEGER;   -- the acceptance that wrote it; NULL: none
-- What a second look made of the label before it.
ALTER TABLE label ADD COLUMN review TEXT CHECK (review IN ('confirmed', 'corrected'));
CREATE INDEX label_by_audit ON label (audit_id) WHERE audit_id IS NOT NULL;

-- A snapshot says which of its labels were proposed: what a classifier was trained on depends on it.
ALTER TABLE snapshot_label ADD COLUMN proposed INTEGER NOT NULL DEFAULT 0;

-- Two more arms: 'proposal', drawn for an audit, and 'check', a second look at a label. A CHECK is changed by making the table anew.
CREATE TABLE batch_item_new (
  batch_id        INTEGER NOT NULL REFERENCES batch(id) ON DELETE CASCADE,
  position        INTEGER NOT NULL,
  image_id        INTEGER NOT NULL REFERENCES image(id) ON DELETE CASCADE,
  state           TEXT NOT NULL CHECK (state IN ('leased', 'labelled', 'released', 'expired')),
  arm             TEXT NOT NULL CHECK (arm IN ('quota', 'explore', 'audit', 'proposal', 'check')),
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
  checked_class_id INTEGER,               -- arm check: the label that is looked at again
  p_wrong         REAL,                   -- arm check: how probably it is wrong
  PRIMARY KEY (batch_id, position)
) STRICT, WITHOUT ROWID;
INSERT INTO batch_item_new
  SELECT batch_id, position, image_id, state, arm, quota_class_id, predicted_class_id, p_predicted, runner_up_class_id,
         p_runner_up, cluster_id, nearest_image_id, nearest_similarity, represents, gain, price_micros, seconds,
         inclusion_probability, reason, NULL, NULL
  FROM batch_item;
DROP TABLE batch_item;
ALTER TABLE batch_item_new RENAME TO batch_item;
CREATE UNIQUE INDEX batch_item_leased ON batch_item (image_id) WHERE state = 'leased';
CREATE INDEX batch_item_by_image ON batch_item (image_id);
