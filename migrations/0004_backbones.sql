-- A project has one or more backbones, each with a vectors file of its own. project.backbone is the active one, which sampling reads;
-- project.published_backbone is the one whose vectors the published run has read: another one until the next resample after a switch.

ALTER TABLE project ADD COLUMN published_backbone TEXT;
UPDATE project SET published_backbone = backbone WHERE published_run_id IS NOT NULL;

-- Row r of every vectors file of a project belongs to the image with vector_row r; a file with fewer rows lags behind, and its backbone
-- goes on from there.
CREATE TABLE project_backbone (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  project_id  INTEGER NOT NULL REFERENCES project(id) ON DELETE CASCADE,
  name        TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
  precision   TEXT NOT NULL DEFAULT 'auto' CHECK (precision IN ('auto', 'f32', 'bf16', 'f16')), -- auto: not decided yet
  n_rows      INTEGER NOT NULL DEFAULT 0 CHECK (n_rows >= 0), -- of its vectors file, that count
  created_ms  INTEGER NOT NULL,
  UNIQUE (project_id, name)
) STRICT;
INSERT INTO project_backbone (project_id, name, n_rows, created_ms)
  SELECT p.id, p.backbone, (SELECT coalesce(max(i.vector_row) + 1, 0) FROM image i WHERE i.project_id = p.id), p.created_ms
  FROM project p;

-- Rows that hold zeros: the photo could not be read any more when this backbone came to it. Sampling passes over them.
CREATE TABLE vector_gap (
  image_id    INTEGER NOT NULL REFERENCES image(id) ON DELETE CASCADE,
  backbone_id INTEGER NOT NULL REFERENCES project_backbone(id) ON DELETE CASCADE,
  reason      TEXT NOT NULL,
  PRIMARY KEY (image_id, backbone_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX vector_gap_by_backbone ON vector_gap (backbone_id);
