// The charts of a run: one for each metric, and the weights of the bands, up to date while it runs.

import { getJson } from "../api";
import { fill, h } from "../dom";
import type { MetricAnswer, MetricView, RunEvent } from "../messages";
import type { Run } from "../run";
import { type Stop, throttled } from "../signal";
import { bandWeights, Chart, type Line } from "./charts";

const BUCKETS = 400;
const ASK_AGAIN_MS = 20_000;
const REDRAW_MS = 1000;
const MOST_WAITING = 400;

const TITLES: { [name: string]: string } = {
  loss: "Loss",
  psnr: "PSNR",
  pose_change: "Change of the cameras' places",
  pose_change_deg: "Change of the cameras' rotations",
  rays_per_s: "Rays a second",
  alpha: "Open bands (alpha)",
  field_rate: "Learning rate of the field",
  pose_rate: "Learning rate of the cameras",
  track_error_px: "Error of the tracks",
  reprojection_error_px: "Reprojection error",
  registered: "Registered photographs",
  points: "Points",
  observations: "Observations",
};
const FIRST = ["psnr", "loss", "pose_change", "pose_change_deg", "alpha", "reprojection_error_px", "registered"];
const LOGARITHMIC = new Set(["loss"]);

interface Curve {
  metric: MetricView;
  chart: Chart;
  weights: Chart | null;
  steps: number[];
  low: (number | null)[];
  high: (number | null)[];
  last: (number | null)[];
  waiting: number;
  asked: number;
}

export class MetricCharts {
  readonly element = h("div", { class: "charts" });
  private readonly curves = new Map<string, Curve>();
  private readonly stops: Stop[];
  private readonly dirty = new Set<Curve>();
  private readonly redraw = throttled(REDRAW_MS, () => {
    for (const curve of this.dirty) this.draw(curve);
    this.dirty.clear();
  });

  constructor(private readonly run: Run) {
    this.stops = [
      run.event.on((event) => this.hear(event)),
      run.renewed.on(() => {
        this.arrange();
        for (const curve of this.curves.values()) void this.load(curve);
      }),
    ];
    this.arrange();
  }

  close(): void {
    for (const stop of this.stops) stop();
    for (const { chart, weights } of this.curves.values()) {
      chart.close();
      weights?.close();
    }
  }

  stats(): { [key: string]: unknown } {
    return { charts: this.curves.size, values: [...this.curves.values()].reduce((sum, one) => sum + one.chart.points, 0) };
  }

  private arrange(): void {
    const view = this.run.view;
    if (!view) return;
    const order = view.stages.map((stage) => stage.name);
    const rank = ({ stage, name }: MetricView) =>
      -order.indexOf(stage) * 1000 + (FIRST.includes(name) ? FIRST.indexOf(name) : 100);
    const metrics = view.metrics.filter((metric) => metric.name !== "bands").sort((a, b) => rank(a) - rank(b));
    const parts: HTMLElement[] = [];
    let stage = "";
    for (const metric of metrics) {
      if (metric.stage !== stage) {
        stage = metric.stage;
        parts.push(h("h2", {}, stage));
      }
      const key = `${metric.stage} ${metric.name}`;
      let curve = this.curves.get(key);
      if (!curve) {
        curve = this.make(metric);
        this.curves.set(key, curve);
      }
      parts.push(curve.chart.element);
      if (curve.weights) parts.push(curve.weights.element);
    }
    fill(this.element, ...parts);
    if (!parts.length) fill(this.element, h("p", { class: "empty" }, "No figures yet: they come from mapping and from the radiance field."));
    for (const curve of this.curves.values()) if (!curve.asked) void this.load(curve);
  }

  private make(metric: MetricView): Curve {
    const { stage, name, unit } = metric;
    const accent = paint("--accent");
    const chart = new Chart({
      title: TITLES[name] ?? name.replaceAll("_", " "),
      unit,
      sync: stage,
      band: [1, 2, `color-mix(in srgb, ${accent} 22%, transparent)`],
      log: LOGARITHMIC.has(name),
    });
    const weights = name === "alpha" ? new Chart({ title: "Weights of the bands", unit: "w_k", sync: stage, legend: false }) : null;
    return { metric, chart, weights, steps: [], low: [], high: [], last: [], waiting: 0, asked: 0 };
  }

  private async load(curve: Curve): Promise<void> {
    curve.asked = performance.now();
    curve.waiting = 0;
    const { stage, name } = curve.metric;
    const query = new URLSearchParams({ stage, name, buckets: String(BUCKETS) });
    try {
      const { buckets } = await getJson<MetricAnswer>(`/api/metrics?${query}`);
      curve.steps = buckets.map((bucket) => bucket.last_step);
      curve.low = buckets.map((bucket) => bucket.low);
      curve.high = buckets.map((bucket) => bucket.high);
      curve.last = buckets.map((bucket) => bucket.last);
      this.draw(curve);
    } catch {
      // its newest values come with the events
    }
  }

  private hear(event: RunEvent): void {
    if (event.kind !== "metric") return;
    const curve = this.curves.get(`${event.stage} ${event.name}`);
    if (!curve) return this.arrange();
    if (event.step <= (curve.steps.at(-1) ?? -Infinity)) return;
    curve.steps.push(event.step);
    for (const values of [curve.low, curve.high, curve.last]) values.push(event.value);
    curve.waiting += 1;
    if (curve.waiting > MOST_WAITING || performance.now() - curve.asked > ASK_AGAIN_MS * (1 + curve.waiting / 40)) {
      void this.load(curve);
    }
    this.dirty.add(curve);
    this.redraw();
  }

  private draw(curve: Curve): void {
    const accent = paint("--accent");
    const faint = "transparent";
    const positive = LOGARITHMIC.has(curve.metric.name);
    const clean = (values: (number | null)[]) => (positive ? values.map((value) => (value !== null && value > 0 ? value : null)) : values);
    const lines: Line[] = [
      { label: "low", colour: faint, values: clean(curve.low), width: 0 },
      { label: "high", colour: faint, values: clean(curve.high), width: 0 },
      { label: "last", colour: accent, values: clean(curve.last) },
    ];
    curve.chart.set(curve.steps, lines);
    if (!curve.weights) return;
    const told = this.run.view?.metrics.find((one) => one.stage === curve.metric.stage && one.name === "bands")?.value;
    const bands = told ?? Math.ceil(Math.max(1, ...curve.last.map((value) => value ?? 0)));
    const weights = bandWeights(curve.last, bands);
    curve.weights.set(
      curve.steps,
      weights.map((values, k) => ({ label: `w${k}`, colour: `hsl(${168 + (150 * k) / bands} 55% 58%)`, values, width: 1.2 })),
    );
  }
}

function paint(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
