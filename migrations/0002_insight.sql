-- What a labeling lead needs to know beside the batch: forecast, label checks, drift. Written by a resample together with its state.

-- Images up to this one are what new arrivals are compared with; NULL: no resample has set it yet.
ALTER TABLE project ADD COLUMN drift_reference_id INTEGER;

CREATE TABLE insight (
  project_id  INTEGER NOT NULL REFERENCES project(id) ON DELETE CASCADE,
  kind        TEXT NOT NULL CHECK (kind IN ('forecast', 'label-checks', 'drift')),
  run_id      INTEGER NOT NULL,
  report      TEXT NOT NULL,             -- JSON
  data        BLOB,                      -- of a forecast: its curves, float32 little-endian
  PRIMARY KEY (project_id, kind)
) STRICT, WITHOUT ROWID;

-- Labels that look wrong, most certain first. One that was changed since is passed over when reading.
CREATE TABLE label_check (
  image_id            INTEGER PRIMARY KEY REFERENCES image(id) ON DELETE CASCADE,
  project_id          INTEGER NOT NULL,
  rank                INTEGER NOT NULL,  -- from 1
  given_class_id      INTEGER NOT NULL,
  suggested_class_id  INTEGER NOT NULL,
  p_given             REAL,
  p_suggested         REAL,
  votes_given         INTEGER NOT NULL,
  votes_suggested     INTEGER NOT NULL,
  n_votes             INTEGER NOT NULL,
  twin                INTEGER NOT NULL,  -- 1: a near-duplicate has the suggested label
  words               TEXT NOT NULL
) STRICT;
CREATE INDEX label_check_by_rank ON label_check (project_id, rank);
