// What the server sends and takes. Field names and meanings are those of pipeline/engine/messages.py,
// pipeline/events.py and the scene's, photographs' and frames' answers.

export type RunStateName = "starting" | "running" | "paused" | "stopping" | "stopped" | "failed" | "done";
export type StageStateName = "waiting" | "started" | "done" | "skipped" | "stale" | "stopped" | "failed";
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type Vector = [number, number, number];

export interface StageView {
  name: string;
  state: StageStateName;
  done: number;
  total: number | null;
  unit: string;
  doing: string;
  rate: number | null;
  left_s: number | null;
  seconds: number;
  why: string;
  hint: string;
  log: string[];
  warnings: number;
  checkpoint_step: number | null;
  preview: string;
  scene: string;
}

export interface MetricView {
  stage: string;
  name: string;
  value: number | null;
  step: number;
  unit: string;
}

export interface RunView {
  protocol: number;
  engine: string;
  run: string;
  root: string;
  host: string;
  pid: number;
  started: number;
  seconds: number;
  seq: number;
  state: RunStateName;
  why: string;
  hint: string;
  until: string | null;
  revision: number;
  stages: StageView[];
  metrics: MetricView[];
  warnings: string[];
  film: FilmView | null;
}

export interface FilmView {
  name: string;
  state: "rendering" | "done" | "failed" | "cancelled";
  done: number;
  total: number;
  left_s: number | null;
  file: string;
  why: string;
}

interface Stamp {
  seq: number;
  time: number;
  mono: number;
  stage: string;
}

export type RunEvent = Stamp &
  (
    | { kind: "progress"; done: number; total: number | null; unit: string; doing: string }
    | { kind: "metric"; name: string; value: number | null; step: number; unit: string }
    | { kind: "warning"; message: string; subject: string }
    | { kind: "preview"; file: string; view: string; step: number; psnr: number | null }
    | { kind: "report"; data: { [key: string]: Json } }
    | {
        kind: "stage";
        // the field `stage` of the record and the stamp have the same name, and the same value
        state: StageStateName;
        seconds: number;
        why: string;
        hint: string;
        log: string[];
      }
    | { kind: "run"; state: RunStateName; why: string; hint: string }
    | { kind: "parameter"; parameter: string; old: Json; new: Json; by: string; revision: number; step: number | null }
    | { kind: "checkpoint"; step: number }
    | { kind: "scene"; version: string }
    | ({ kind: "film" } & FilmView)
  );

export interface EventsAnswer {
  engine: string;
  seq: number;
  events: RunEvent[];
  view: RunView | null;
}

export type StreamMessage =
  | { type: "hello"; protocol: number; view: RunView }
  | { type: "events"; events: RunEvent[] }
  | { type: "tick"; seq: number }
  | { type: "answer"; id: number; answer: Answer };

export interface Answer {
  ok: boolean;
  message: string;
  hint: string;
  reruns: string[];
  revision: number;
}

export type Command =
  | { op: "pause" | "resume" | "stop" | "checkpoint" }
  | { op: "retry"; stage?: string | null; confirm?: boolean }
  | { op: "run-until"; stage: string | null }
  | { op: "set"; changes: { [key: string]: Json }; base_revision?: number | null; confirm?: boolean }
  | { op: "render-path"; keyframes: Keyframe[]; seconds: number; fps: number; width: number; height: number; name?: string }
  | { op: "cancel-render" };

/** A place on a camera path, as in the files of `barfield render`. */
export interface Keyframe {
  position: Vector;
  look_at: Vector;
  up?: Vector;
  fov_deg?: number;
  seconds?: number;
}

export type Applies = "live" | "stage" | "restart";

export interface ParameterView {
  value: Json;
  default: Json;
  unit: string;
  effect: string;
  applies: Applies;
  bounds: { [key: string]: Json };
}

export interface ConfigAnswer {
  revision: number;
  parameters: { [key: string]: ParameterView };
}

export interface LogAnswer {
  stage: string;
  lines: string[];
}

export interface Bucket {
  first_step: number;
  last_step: number;
  low: number | null;
  high: number | null;
  last: number | null;
}

export interface MetricAnswer {
  stage: string;
  name: string;
  buckets: Bucket[];
}

export interface Cloud {
  id: string;
  name: string;
  stage: string;
  format: "points" | "potree";
  url: string;
  count: number;
  before: number;
  strays: number;
  bounds: [Vector, Vector];
  center: Vector;
  radius: number;
  note: string;
  steps: number;
}

export interface MeshFile {
  id: string;
  name: string;
  stage: string;
  url: string;
  vertices: number | null;
  faces: number | null;
}

/** Whether there is something to render from: a checkpoint will do. */
export function canRender(field: SceneAnswer["field"] | undefined): boolean {
  return field !== undefined && (field.state !== "none" || field.step !== null);
}

export interface LiveScene {
  stage: string;
  file: string;
  step: number;
  url: string;
}

export interface SceneAnswer {
  version: string;
  up: Vector | null;
  clouds: Cloud[];
  cameras: { id: string; url: string }[];
  meshes: MeshFile[];
  preparing: { name: string; why: string }[];
  troubles: string[];
  field: { step: number | null; state: "none" | "training" | "trained"; why: string };
  live: LiveScene | null;
}

export type Row = [number, number, number, number];
export type Pose = [Row, Row, Row];

export interface Intrinsics {
  width: number;
  height: number;
  fx: number;
  fy: number;
  cx: number;
  cy: number;
  model?: string;
  params?: number[];
}

export interface CamerasFile {
  cameras: Intrinsics[];
  images: {
    photo: number | null;
    name: string;
    camera: number;
    cam_from_world: Pose;
    points: number;
    error_px: number | null;
  }[];
}

export interface Photograph {
  index: number;
  name: string;
  width: number | null;
  height: number | null;
  registered: boolean | null;
  reason: string;
  keypoints: number | null;
  matches: number | null;
  inliers: number | null;
  partners: number | null;
  points: number | null;
  error_px: number | null;
  focal_px: number | null;
  sharpness: number | null;
  /** Another word whenever its depth map may be another one; null where it has none. */
  depth: string | null;
}

export interface PhotographsAnswer {
  photographs: Photograph[];
  gaps: string[];
}

// i1, i2, matches, inliers, kind, reason, angle in degrees
export type PairRow = [number, number, number, number | null, string, string, number | null];

export interface PairsAnswer {
  pairs: PairRow[];
}

export interface RendersAnswer {
  films: { name: string; bytes: number; changed: number; url: string }[];
}

export interface PlanarAnswer {
  image: string;
  curves: { [key: string]: Json };
}

export interface ViewRequest {
  seq: number;
  width: number;
  height: number;
  cam_from_world: Pose;
  fov_y_deg?: number;
  intrinsics?: Row;
  coarsest: 8 | 4 | 2 | 1;
  finest: 8 | 4 | 2 | 1;
  jpeg_quality: number;
  depth: boolean;
}

export interface FrameHeader {
  kind: "frame";
  seq: number;
  step: number;
  level: number;
  final: boolean;
  width: number;
  height: number;
  render_s: number;
  depth_width: number;
  depth_height: number;
  error: string;
}

export interface PointsHeader {
  kind: "points";
  count: number;
  origin: Vector;
  step: Vector;
  center: Vector;
  radius: number;
  up: Vector;
  strays: number;
  /** null: the errors are not known. */
  error_max_px: number | null;
}

export interface LiveHeader {
  kind: "scene";
  stage: string;
  step: number;
  registered: number;
  of: number;
  origin: Vector;
  step_xyz: Vector;
  up: Vector;
}
