// What is in the scene: which cloud, which cameras, what is live; follows the run.

import { Group, Vector3 } from "three";
import { getJson, inWords } from "../api";
import { base } from "../format";
import type { CamerasFile, Cloud, MeshFile, PointsHeader, RunEvent, SceneAnswer } from "../messages";
import type { Run } from "../run";
import { Signal } from "../signal";
import { Cameras, camerasOf, movedTo, type SceneCamera } from "./cameras";
import { ClipBox } from "./clip";
import { corners, Framing } from "./framing";
import { Guides } from "./guides";
import { LiveLayer, type Snapshot } from "./live";
import { inFront, nearest } from "./measure";
import { MeshLayer } from "./mesh";
import type { Octree } from "./octree";
import { bestMesh, isWanted, openingCloud } from "./opening";
import { Pace } from "./pace";
import { type Colouring, pointMaterial } from "./point_material";
import { PointCloud } from "./points";
import { sceneAnswer } from "./prefetch";
import type { View } from "./view";

const ASK_AGAIN_MS = 2500;
const SAMPLE = 5000;

export class World {
  readonly look = pointMaterial();
  readonly root = new Group();
  readonly cameras: Cameras;
  readonly guides = new Guides();
  readonly live: LiveLayer;
  readonly mesh: MeshLayer;
  readonly clip: ClipBox;
  private readonly framing: Framing;
  private readonly pace: Pace;
  readonly changed = new Signal();
  scene: SceneAnswer | null = null;
  cloud: Cloud | null = null;
  points: PointCloud | null = null;
  octree: Octree | null = null;
  cameraSets: { id: string; url: string }[] = [];
  cameraSet = "";
  snapshot: Snapshot | null = null;
  problem = "";
  drawn = 0;
  firstPointsMs = 0;
  allPointsMs = 0;
  liveOn = true;
  private wantedCloud: string | null = null;
  private wantedCameras: string | null = null;
  private askTimer = 0;
  private colouring: Colouring = "photo";
  private still: SceneCamera[] = [];
  private pointsOn = true;
  private camerasOn = true;
  private begunDrawing = false; // of points or a mesh: what needs other shaders waits for them

  constructor(
    private readonly view: View,
    private readonly run: Run,
  ) {
    this.framing = new Framing(view);
    this.pace = new Pace(view);
    this.cameras = new Cameras(view);
    this.live = new LiveLayer(this.look);
    this.clip = new ClipBox(view, () => this.applyClip());
    this.mesh = new MeshLayer(view, this.clip.clip);
    this.root.add(this.live.group, this.mesh.group);
    view.scene.add(this.root, this.cameras.group, this.guides.grid, this.guides.axes);
    this.guides.axes.visible = false;
    this.cameras.group.visible = false;
    this.live.came.on((snapshot) => this.takeSnapshot(snapshot));
    view.preparations.add(() => this.prepare());
    view.drawn.on(() => this.adapt());
    view.rested.on(() => this.rest());
    run.event.on((event) => this.hear(event));
    let greeted = run.view !== null;
    run.renewed.on(() => {
      if (greeted) void this.ask(); // the connection was lost, and news with it
      greeted = true;
    });
  }

  async begin(cloud: string | null, cameras: string | null): Promise<void> {
    this.wantedCloud = cloud;
    this.wantedCameras = cameras;
    await this.take(sceneAnswer());
  }

  /** The server has something new, or may have. */
  async ask(): Promise<void> {
    await this.take(getJson<SceneAnswer>("/api/scene"));
  }

  private async take(answer: Promise<SceneAnswer>): Promise<void> {
    clearTimeout(this.askTimer);
    try {
      const scene = await answer;
      this.problem = "";
      const known = this.scene?.version === scene.version && this.cloud !== null;
      this.scene = scene;
      if (scene.up && !this.framing.done) this.view.setUp(new Vector3(...scene.up));
      if (!known) this.showScene(scene);
      if (scene.live && this.follows(scene.live.stage)) this.live.tell(scene.live.url);
      if (scene.preparing.length) this.askTimer = window.setTimeout(() => void this.ask(), ASK_AGAIN_MS);
    } catch (error) {
      this.problem = inWords(error);
      this.askTimer = window.setTimeout(() => void this.ask(), 2 * ASK_AGAIN_MS);
    }
    this.changed.emit();
  }

  /** Whether snapshots of a stage are newer than what the scene has. */
  private follows(stage: string): boolean {
    return this.liveOn && (this.run.stage(stage)?.state === "started" || (stage === "mapping" && !this.scene?.clouds.length));
  }

  private hear(event: RunEvent): void {
    if (event.kind === "scene") void this.ask();
    if (event.kind === "stage" && ["mapping", "radiance", "draft", "mesh"].includes(event.stage)) {
      if (this.snapshot?.header.stage === event.stage && event.state === "done" && this.cloud) this.endSnapshot();
      void this.ask();
    }
    if (event.kind === "preview" && event.file.endsWith(".scene") && this.follows(event.stage)) {
      this.live.tell(`/api/previews/${event.stage}/${base(event.file)}`);
    }
  }

  private showScene(scene: SceneAnswer): void {
    const cloud = openingCloud(scene, this.wantedCloud);
    this.cameraSets = scene.cameras;
    if (cloud && cloud.id !== this.cloud?.id) void this.showCloud(cloud);
    const refined = scene.cameras.find((set) => set.id === "refined");
    const set = scene.cameras.find((one) => one.id === this.wantedCameras) ?? refined ?? scene.cameras.at(-1);
    if (set) void this.showCameras(set.id);
    if (this.mesh.group.visible) this.showMesh();
  }

  get bestMesh(): MeshFile | undefined {
    return bestMesh(this.scene?.meshes ?? [], (stage) => this.run.stage(stage)?.state);
  }

  /** The best mesh that there is, or the last one of those that are out of date. */
  showMesh(): void {
    const mesh = this.bestMesh ?? this.scene?.meshes.at(-1);
    if (!mesh) return;
    const came = () => {
      if (this.framing.done || this.scene?.preparing.length) return; // a cloud tells better where to stand
      const bounds = this.mesh.bounds();
      this.frame(bounds.center, bounds.radius, this.cameras.list, false);
    };
    const failed = (error: unknown) => {
      this.problem = `The mesh could not be loaded: ${inWords(error)}`;
    };
    void this.mesh.show(mesh).then(came, failed).then(() => this.changed.emit());
  }

  chooseCloud(cloud: Cloud): void {
    this.wantedCloud = cloud.name; // also of a later version
    if (cloud.id !== this.cloud?.id) void this.showCloud(cloud);
  }

  /** Whether the visitor or the address has picked the cloud that is there. */
  get isCloudChosen(): boolean {
    return this.cloud !== null && isWanted(this.cloud, this.wantedCloud);
  }

  private async showCloud(cloud: Cloud): Promise<void> {
    this.points?.dispose();
    this.octree?.dispose();
    this.points = this.octree = null;
    this.cloud = cloud;
    this.firstPointsMs = this.allPointsMs = 0;
    try {
      if (cloud.format === "potree") {
        const { Octree } = await import("./octree");
        if (this.cloud !== cloud) return;
        this.frameCloud(new Vector3(...cloud.center), cloud.radius);
        const octree = new Octree(this.view, cloud.url, this.clip.clip);
        this.octree = octree;
        octree.group.visible = this.pointsOn;
        this.root.add(octree.group);
        this.view.invalidate();
        this.changed.emit();
        await octree.begun; // in software, a picture of the grid alone would hold up the points
        if (this.octree === octree) this.settle();
        return;
      }
      const points = new PointCloud(cloud.url, this.look, (whole) => this.pace.drawSoon(whole || !this.begunDrawing));
      this.points = points;
      this.root.add(points.group);
      await points.load((header) => this.begun(header));
      if (this.points === points) this.settle();
    } catch (error) {
      if (this.cloud !== cloud) return;
      this.problem = `The cloud could not be loaded: ${inWords(error)}`;
      this.changed.emit();
    }
  }

  private begun(header: PointsHeader): void {
    this.look.uniforms.up.value.set(...header.up);
    if (!this.framing.done) this.view.setUp(new Vector3(...header.up));
    this.frameCloud(new Vector3(...header.center), header.radius);
    this.changed.emit(); // what its points can be coloured by
  }

  /** As the cloud is, where snapshots on the way to it were seen from elsewhere. */
  private frameCloud(center: Vector3, radius: number): void {
    const cameras = this.still.length ? this.still : this.cameras.list;
    this.frame(center, radius, cameras, this.framing.isOutgrown(center, radius));
  }

  /** The cloud is there: what has to be known of all of it. */
  private settle(): void {
    if (this.snapshot?.header.stage !== "mapping") this.live.group.visible = false; // the cloud has its points
    else if (!this.follows("mapping")) this.endSnapshot();
    this.cameras.thumbnails.begin();
    this.ground();
    this.addDetails();
    this.changed.emit();
    this.view.invalidate();
  }

  private ground(): void {
    if (!this.cloud) return;
    const { up } = this.view;
    const places = [...(this.points?.sample(SAMPLE) ?? corners(this.cloud))];
    const heights = places.map((place) => place.dot(up)).sort((a, b) => a - b);
    const at = (share: number) => heights[Math.floor(share * (heights.length - 1))] ?? 0;
    this.look.uniforms.heights.value = [at(0.02), at(0.98)];
    this.clip.fit(places);
    const center = new Vector3(...(this.points?.header?.center ?? this.cloud.center));
    this.guides.place(center, this.view.radius, up, at(0.02));
  }

  async chooseCameras(id: string): Promise<void> {
    this.wantedCameras = id;
    await this.showCameras(id);
  }

  private async showCameras(id: string): Promise<void> {
    const set = this.cameraSets.find((one) => one.id === id);
    if (!set) return;
    try {
      const cameras = camerasOf(await getJson<CamerasFile>(set.url));
      this.cameraSet = id;
      this.still = cameras;
      const { snapshot } = this;
      if (snapshot?.header.stage === "mapping") return; // its cameras are newer, and elsewhere
      this.putCameras(snapshot ? movedTo(this.still, snapshot.cameras) : cameras);
      if (!this.view.touched) this.framing.goHome(cameras, false);
    } catch (error) {
      this.problem = `The cameras could not be loaded: ${inWords(error)}`;
    }
    this.changed.emit();
  }

  private putCameras(cameras: SceneCamera[]): void {
    const length = Cameras.lengthFor(cameras, this.view.radius);
    this.cameras.show(cameras, this.cameras.list.length === 0 ? length : Math.max(this.cameras.size, length / 4));
    this.view.invalidate();
  }

  private takeSnapshot(snapshot: Snapshot): void {
    this.snapshot = snapshot;
    if (snapshot.header.up) {
      const up = new Vector3(...snapshot.header.up);
      if (up.lengthSq() > 0.5 && !this.view.touched) this.view.setUp(up);
    }
    const wholeCloud = this.cloud !== null && snapshot.header.stage !== "mapping";
    this.live.group.visible = !wholeCloud;
    this.placePoints();
    if (!wholeCloud && snapshot.points && !this.view.touched && this.framing.isOutgrown(snapshot.center, snapshot.radius)) {
      this.cameras.list = []; // frusta that suit the new size
      this.frame(snapshot.center, snapshot.radius, snapshot.cameras, true);
    }
    if (snapshot.cameras.length) this.putCameras(wholeCloud ? movedTo(this.still, snapshot.cameras) : snapshot.cameras);
    this.cameras.thumbnails.begin();
    this.view.invalidate();
    this.changed.emit();
  }

  private frame(center: Vector3, radius: number, cameras: SceneCamera[], anew: boolean): void {
    this.look.uniforms.reference.value = radius * 2;
    const early = this.framing.done ? [] : this.cameras.list; // shown before anything had a size
    this.framing.frame(center, radius, cameras, anew);
    if (early.length) this.cameras.resize(Cameras.lengthFor(early, radius));
  }

  /** What the snapshots showed is in the scene now. */
  private endSnapshot(): void {
    this.snapshot = null;
    this.live.clear();
    this.placePoints();
    if (this.cameraSet) void this.showCameras(this.cameraSet);
  }

  /** The first view: from where the photographs were taken. */
  goHome(smooth: boolean): void {
    this.framing.goHome(this.cameras.list, smooth);
  }

  colour(by: Colouring): void {
    this.colouring = by;
    this.look.colour(by);
    this.view.invalidate();
    this.addDetails();
  }

  /** What some colours need to know of each point. */
  private addDetails(): void {
    const { colouring, points } = this;
    points?.loadFor(colouring)?.then(
      () => {
        this.changed.emit();
        this.view.invalidate();
      },
      (error) => {
        if (this.points !== points) return;
        this.problem = `There are no details of these points: ${inWords(error)}`;
        this.changed.emit();
      },
    );
  }

  /** Those of the cloud, unless a snapshot of mapping is newer; octrees have materials of their own. */
  private placePoints(): void {
    const newest = this.snapshot?.header.stage !== "mapping";
    if (this.points) this.points.group.visible = newest;
    if (this.octree) this.octree.group.visible = newest && this.pointsOn;
  }

  setPointsVisible(on: boolean): void {
    this.pointsOn = on;
    this.look.uniforms.points.value = on;
    this.placePoints();
  }

  setCamerasVisible(on: boolean): void {
    this.camerasOn = on;
    this.cameras.group.visible = on && this.begunDrawing;
  }

  setLive(on: boolean): void {
    this.liveOn = on;
    this.live.group.visible = on;
    if (!on) this.endSnapshot();
    else if (this.scene?.live && this.follows(this.scene.live.stage)) this.live.tell(this.scene.live.url);
  }

  /** What is seen at a place of the canvas: a point near there, or the mesh; null: neither. */
  pick(x: number, y: number): Vector3 | null {
    return inFront(this.view, nearest(this.view, this.pickable(), x, y), this.mesh.at(x, y));
  }

  private *pickable(): Generator<Vector3> {
    if (this.points?.group.visible && this.pointsOn) yield* this.points.sample(1_000_000);
    if (this.octree?.group.visible) yield* this.octree.places();
  }

  private applyClip(): void {
    const { uniforms } = this.look;
    uniforms.clipping.value = this.clip.clip.on;
    uniforms.clip.value.copy(this.clip.clip.matrix);
    this.octree?.setClip(this.clip.clip);
    this.mesh.setClip();
    this.view.invalidate();
  }

  private prepare(): void {
    this.look.uniforms.ratio.value = this.view.renderer.getPixelRatio();
    const most = this.view.moving && this.allPointsMs ? this.pace.most : Infinity;
    this.drawn = this.points?.limit(most) ?? 0;
    if (this.points && !this.points.group.visible) this.drawn = 0;
    if (this.octree?.group.visible) this.drawn = this.octree.drawn;
    if (this.live.group.visible) this.drawn += this.live.count;
  }

  /** The camera moves no longer: what was left out for that. */
  private rest(): void {
    if (this.octree || this.drawn < (this.points?.loaded ?? 0)) this.view.invalidate();
  }

  private adapt(): void {
    const now = performance.now();
    if (!this.begunDrawing && (this.drawn > 0 || (this.octree && this.cloud) || this.mesh.shown)) {
      this.begunDrawing = true;
      this.cameras.group.visible = this.camerasOn;
      this.pace.drawSoon(false);
    }
    if (this.points && this.drawn >= 1000 && !this.firstPointsMs) this.firstPointsMs = now;
    if (this.points?.header && this.points.loaded === this.points.header.count && !this.allPointsMs && this.drawn) {
      this.allPointsMs = now;
    }
    if (!this.view.moving || !this.points || !this.allPointsMs || this.view.frameMs <= 0) return;
    this.pace.learn(this.points.loaded);
  }
}
