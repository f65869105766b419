// Charts of numbers over steps.

import uPlot from "uplot";
import { h } from "../dom";
import { number, short } from "../format";

export interface Line {
  label: string;
  colour: string;
  values: (number | null)[];
  /** Draw only the space between two lines: from the line before to this one. */
  width?: number;
}

export interface ChartOptions {
  title: string;
  unit: string;
  sync?: string;
  /** Pairs of lines between which the chart is filled. */
  band?: [number, number, string];
  log?: boolean;
  legend?: boolean;
}

const HEIGHT = 190;

export class Chart {
  readonly element: HTMLElement;
  private plot: uPlot | null = null;
  private steps: number[] = [];
  private lines: Line[] = [];
  private readonly frame = h("div", { class: "plot" });
  private readonly observer: ResizeObserver;
  private zoomed = false;

  constructor(private readonly options: ChartOptions) {
    this.element = h("figure", { class: "chart" },
      h("figcaption", {}, h("strong", {}, options.title), options.unit ? h("span", {}, options.unit) : null), this.frame);
    this.observer = new ResizeObserver(() => {
      if (this.frame.clientWidth) this.plot?.setSize({ width: this.frame.clientWidth, height: HEIGHT });
    });
    this.observer.observe(this.frame);
  }

  set(steps: number[], lines: Line[]): void {
    const same = this.plot && lines.length === this.lines.length;
    this.steps = steps;
    this.lines = lines;
    const data = [steps, ...lines.map((line) => line.values)] as uPlot.AlignedData;
    if (same) {
      this.plot!.setData(data, !this.zoomed);
      if (this.zoomed) this.plot!.redraw(true);
      return;
    }
    this.plot?.destroy();
    if (this.frame.clientWidth) this.plot = this.make(data);
    else requestAnimationFrame(() => {
      if (this.frame.clientWidth && this.lines === lines) this.plot = this.make(data);
    });
  }

  get points(): number {
    return this.steps.length;
  }

  close(): void {
    this.observer.disconnect();
    this.plot?.destroy();
    this.plot = null;
  }

  private make(data: uPlot.AlignedData): uPlot {
    const style = getComputedStyle(document.documentElement);
    const paint = (name: string) => style.getPropertyValue(name).trim();
    const { band, log, sync, legend } = this.options;
    const axis = {
      stroke: paint("--muted"),
      font: "11px system-ui, sans-serif",
      grid: { stroke: paint("--line"), width: 1 },
      ticks: { stroke: paint("--line"), width: 1, size: 4 },
    };
    return new uPlot(
      {
        width: this.frame.clientWidth,
        height: HEIGHT,
        padding: [8, 18, 0, 0],
        legend: { show: true, live: true },
        cursor: {
          drag: { x: true, y: false, setScale: true },
          points: { size: 6 },
          ...(sync ? { sync: { key: sync } } : {}),
        },
        scales: { x: { time: false }, y: log ? { distr: 3 } : {} },
        ...(band ? { bands: [{ series: [band[1], band[0]] as uPlot.Band.Bounds, fill: band[2] }] } : {}),
        series: [
          { label: "step", value: (_, value) => (value === null ? "–" : short(value)) },
          ...this.lines.map((line) => ({
            label: line.label,
            stroke: line.colour,
            width: line.width ?? 1.6,
            points: { show: this.steps.length < 3 },
            value: (_: uPlot, value: number | null) => number(value, 4),
          })),
        ],
        axes: [
          { ...axis, size: 30, values: (_, ticks) => ticks.map((tick) => (Number.isInteger(tick) ? short(tick) : "")) },
          { ...axis, size: 52, values: (_, ticks) => ticks.map((tick) => (tick === null ? "" : number(tick, 3))) },
        ],
        hooks: {
          setScale: [
            (plot, key) => {
              if (key !== "x") return;
              const { min, max } = plot.scales["x"]!;
              this.zoomed = min !== undefined && max !== undefined && (min! > (this.steps[0] ?? 0) || max! < (this.steps.at(-1) ?? 0));
            },
          ],
          ready: [(plot) => legend === false && plot.root.classList.add("quiet")],
        },
      },
      data,
      this.frame,
    );
  }
}

/** Weights of the bands of the positional encoding (BARF, eq. 14), where alpha is how many are open. */
export function bandWeights(alpha: (number | null)[], bands: number): (number | null)[][] {
  return Array.from({ length: bands }, (_, k) =>
    alpha.map((value) => {
      if (value === null) return null;
      const open = value - k;
      if (open <= 0) return 0;
      return open >= 1 ? 1 : (1 - Math.cos(open * Math.PI)) / 2;
    }),
  );
}
