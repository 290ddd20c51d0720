/* The shapes of docs/api.md, as they come over the wire. */

export type Role = "viewer" | "annotator" | "lead" | "admin";

export interface Session {
  role: Role;
  csrf: string | null; // null with a token: none is needed
  version: string;
}

export interface List<T> {
  items: T[];
  next: string | null;
}

export interface ProjectClass {
  name: string;
  target_share: number | null;
  price: number;
  seconds: number;
  labels: number;
}

export interface Project {
  id: number;
  name: string;
  backbone: string;
  currency: string;
  created: string;
  images: number;
  labels: number;
  refused: number;
  published_run: number | null;
  published_backbone: string | null;
  backbones: { name: string; active: boolean; precision: string; vectors: number; behind: number; gaps: number }[];
  classes: ProjectClass[];
}

export interface Prediction {
  class: string;
  p: number;
  runner_up: string | null;
  p_runner_up: number | null;
}

export interface Label {
  id: number;
  image: number;
  class: string;
  annotator: string;
  seconds: number | null;
  source: string;
  batch: number | null;
  at: string;
  ended: string | null;
}

export interface Image {
  id: number;
  path: string;
  names_count: number;
  sha256: string;
  format: string;
  width: number;
  height: number;
  bytes: number;
  added: string;
  label: string | null;
  label_source: string | null;
  cluster: number | null;
  duplicate_of: number | null;
  predicted: Prediction | null;
  batch: number | null;
}

export interface ImageDetail extends Image {
  names: string[];
  history: Label[];
}

export interface Similar {
  image: Image;
  similarity: number;
}

export interface Refusal {
  path: string;
  reason: string;
  status: string;
  at: string;
}

export interface ClusterClass {
  class: string;
  labelled: number;
  predicted: number;
}

export interface Cluster {
  id: number;
  name: string;
  notes: string;
  size: number;
  labelled: number;
  mean_distance: number;
  medoids: number[];
  classes: ClusterClass[];
}

export interface Sanity {
  verdict: string;
  words: string;
}

export interface ClusterList {
  items: Cluster[];
  sanity: Sanity | null;
}

export interface BalanceClass {
  class: string;
  labelled: number;
  share: number;
  target_share: number | null;
  predicted: number;
}

export interface Balance {
  labels: number;
  images: number;
  entropy: number;
  classes: BalanceClass[];
}

export interface BatchRequest {
  size?: number;
  max_price?: number;
  max_minutes?: number;
  targets?: Record<string, number>;
  cluster?: number;
  explore_share?: number;
  audit_share?: number;
  relabel?: "auto" | number;
  lease_hours?: number;
}

export interface FeasibilityClass {
  class: string;
  target_share: number;
  labelled: number;
  wanted: number;
  expected: number;
  available: number;
  met: boolean;
  words: string;
}

export interface Feasibility {
  words: string;
  classes: FeasibilityClass[];
  drift?: { words: string } | null; // batches of older versions say nothing of it, nor of second looks
  relabel?: { words: string } | null;
}

export type ItemState = "leased" | "labelled" | "released" | "expired";

export interface BatchItem {
  position: number;
  image: number;
  path: string;
  state: ItemState;
  arm: "quota" | "explore" | "audit" | "proposal" | "check";
  reason: string;
  quota_class: string | null;
  predicted: Prediction | null;
  cluster: number | null;
  nearest: { image: number; similarity: number } | null;
  represents: number;
  gain: number | null;
  price: number;
  seconds: number | null;
  inclusion_probability: number | null;
  label: string | null;
}

export interface Batch {
  id: number;
  state: "leased" | "returned" | "released" | "expired";
  holder: string;
  seed: number;
  run: number | null;
  manifest_sha256: string;
  created: string;
  expires: string;
  closed: string | null;
  size: number;
  leased: number;
  labelled: number;
  price: number;
  minutes: number;
  request: Record<string, unknown>;
  feasibility: Feasibility;
  items?: BatchItem[];
}

export interface LabelAnswer {
  taken: number;
  unchanged: number;
  rejected: { index: number; type: string; detail: string }[];
  batch?: Batch;
}

export type ForecastVerdict = "worth-it" | "not-worth-it" | "open" | "unknown";

/* Shares of 1, null where there is too little to say. */
export interface ForecastGain {
  accuracy: number | null;
  gain: number | null;
  low: number | null;
  high: number | null;
}

export interface ForecastClass extends ForecastGain {
  class: string;
  seconds: number;
}

export interface Forecast extends ForecastGain {
  verdict: ForecastVerdict;
  words: string;
  run: number | null;
  labels_now: number;
  labels_more: number;
  price: number;
  minutes: number;
  point_value: number | null;
  p_worth: number | null;
  classes: ForecastClass[];
  curve: { labels: number; accuracy: number }[];
  audit: { images: number; accuracy: number; low: number; high: number } | null;
  agreements: { labels: number; images: number; kappa: number }[];
}

export interface LabelCheck {
  rank: number;
  image: number;
  path: string | null;
  annotator: string;
  given: string;
  suggested: string;
  p_given: number;
  p_suggested: number;
  votes_given: number;
  votes_suggested: number;
  votes: number;
  near_duplicate: boolean;
  words: string;
}

export interface LabelChecks {
  words: string;
  run: number | null;
  labels: number;
  checked: number;
  suspects: number;
  noise_rate: number | null;
  classes: { class: string; labels: number; suspects: number; checked: boolean }[];
  items: LabelCheck[];
  next: string | null;
}

export interface DriftTest {
  kind: "neighbours" | "clusters" | "component" | "score";
  component?: number;
  class?: string;
  statistic: number;
  p: number;
  p_corrected: number;
  effect: number;
}

export interface DriftCluster {
  cluster: number;
  arrivals: number;
  share_reference: number;
  share_arrivals: number;
  z: number;
}

export interface Drift {
  verdict: "unknown" | "none" | "found";
  words: string;
  run: number | null;
  reference: number | null;
  arrivals: number | null;
  reference_image: number | null;
  alpha: number | null;
  accepted: boolean;
  tests: DriftTest[];
  clusters: DriftCluster[];
}

export type ProposalKind = "cluster" | "clusters" | "duplicates"; // one class in one cluster, the surest of all, near-duplicates

/* Labels that could be given to many images at once, after an audit. */
export interface Proposal {
  kind: ProposalKind;
  cluster: number | null;
  class: string | null; // null: each image its own
  images: number;
  groups: number | null;
  labels: number;
  agree: number;
  p: number | null;
  sample: number;
  allowed: number;
  p_pass: number;
  saves: number;
  price: number;
  minutes: number;
  attempt: number;
  words: string;
}

export interface Proposals {
  bound: number;
  confidence: number;
  words: string;
  items: Proposal[];
}

export type AuditState = "auditing" | "passed" | "failed" | "accepted" | "broken" | "undone";

export interface Audit {
  id: number;
  kind: ProposalKind;
  cluster: number | null;
  class: string | null;
  state: AuditState;
  words: string;
  bound: number;
  confidence: number;
  images: number;
  sample: number;
  allowed: number;
  answered: number;
  disagree: number;
  error_bound: number;
  labels: number; // that the acceptance wrote
  standing: number; // of those, still current
  batch: number;
  batch_state: Batch["state"];
  created: string;
}

export interface Run {
  id: number;
  kind: string;
  state: "queued" | "running" | "done" | "failed" | "cancelled" | "interrupted";
  stage: string;
  done: number;
  total: number;
  rate: number;
  seconds_left: number | null;
  message: string;
  summary: Record<string, unknown>;
  created: string;
  started: string | null;
  ended: string | null;
}

export interface LedgerEntry {
  id: number;
  batch: number | null;
  image: number | null;
  kind: "reserve" | "charge" | "refund";
  amount: number;
  minutes: number;
  note: string;
  at: string;
}

export interface Ledger {
  reserved: number;
  charged: number;
  reserved_minutes: number;
  charged_minutes: number;
  items: LedgerEntry[];
  next: string | null;
}
