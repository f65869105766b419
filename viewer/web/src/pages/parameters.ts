// The parameters of the run as a panel, made from what the server says of each.

import GUI, { type Controller } from "lil-gui";
import { getJson, inWords, send } from "../api";
import { button, fill, h } from "../dom";
import type { ConfigAnswer, Json, ParameterView } from "../messages";
import type { Run } from "../run";
import { type Stop, throttled } from "../signal";

const WIDEST_SLIDER = 200;
const MARKS = {
  live: "takes effect between two steps",
  stage: "its stage runs again",
  restart: "takes effect when the run starts again",
} as const;

interface Shown {
  controller: Controller;
  holder: { value: unknown };
  parameter: ParameterView;
  mark: HTMLElement;
}

export class Parameters {
  readonly element = h("section", { class: "parameters", "aria-label": "Parameters" });
  private readonly note = h("div", { class: "note", role: "status" });
  private readonly box = h("div");
  private readonly search = h("input", { type: "search", placeholder: "Find a parameter", "aria-label": "Find a parameter" });
  private gui: GUI | null = null;
  private readonly shown = new Map<string, Shown>();
  private revision = 0;
  private readonly stops: Stop[];
  private readonly again = throttled(300, () => void this.load());

  constructor(private readonly run: Run) {
    this.search.addEventListener("input", () => this.filter());
    this.element.append(h("div", { class: "row" }, h("h2", {}, "Parameters"), this.search), this.note, this.box);
    this.stops = [
      run.event.on((event) => event.kind === "parameter" && this.again()),
      run.renewed.on(() => this.again()),
    ];
    void this.load();
  }

  close(): void {
    for (const stop of this.stops) stop();
    this.gui?.destroy();
  }

  stats(): { [key: string]: unknown } {
    return { parameters: this.shown.size, revision: this.revision, note: this.note.textContent };
  }

  private async load(): Promise<void> {
    try {
      const answer = await getJson<ConfigAnswer>("/api/config");
      this.revision = answer.revision;
      const names = Object.keys(answer.parameters);
      if (!this.gui || names.some((name) => !this.shown.has(name))) this.build(answer);
      else for (const [name, parameter] of Object.entries(answer.parameters)) this.refresh(name, parameter);
    } catch (error) {
      this.say(`The parameters could not be read: ${inWords(error)}`, true);
    }
  }

  private build(answer: ConfigAnswer): void {
    this.gui?.destroy();
    this.shown.clear();
    const gui = new GUI({ container: this.box, title: "", width: 0 });
    this.gui = gui;
    const folders = new Map<string, GUI>();
    for (const [name, parameter] of Object.entries(answer.parameters)) {
      const [stage = "", field = name] = name.split(".", 2);
      let folder = folders.get(stage);
      if (!folder) {
        folder = gui.addFolder(stage);
        if (this.run.stage(stage)?.state !== "started") folder.close();
        folders.set(stage, folder);
      }
      this.add(folder, name, field, parameter);
    }
  }

  private add(folder: GUI, name: string, field: string, parameter: ParameterView): void {
    const holder = { value: inForm(parameter.value) };
    const { bounds } = parameter;
    const choices = Array.isArray(bounds["enum"]) ? (bounds["enum"] as (string | number)[]) : null;
    const [low, high] = [bounds["minimum"], bounds["maximum"]];
    let controller: Controller;
    if (choices) controller = folder.add(holder, "value", choices);
    else if (typeof holder.value === "number" && typeof low === "number" && typeof high === "number" && high - low <= WIDEST_SLIDER) {
      const whole = bounds["type"] === "integer";
      controller = folder.add(holder, "value", low, high, whole ? 1 : (high - low) / 1000);
    } else controller = folder.add(holder, "value");
    controller.name(field.replaceAll("_", " "));
    const mark = h("button", { type: "button", class: "mark", "data-applies": parameter.applies }, parameter.applies);
    controller.$name.append(mark, h("span", { class: "unit" }, parameter.unit));
    mark.addEventListener("click", () => {
      const shown = this.shown.get(name);
      if (shown && !equal(shown.parameter.value, shown.parameter.default)) void this.change(name, shown.parameter.default);
    });
    controller.onFinishChange(() => {
      const shown = this.shown.get(name);
      if (!shown) return;
      const value = fromForm(holder.value, shown.parameter);
      if (value instanceof Error) {
        this.say(`${name}: ${value.message}`, true);
        this.refresh(name, shown.parameter);
      } else if (!equal(value, shown.parameter.value)) void this.change(name, value);
    });
    if (parameter.default === null) controller.domElement.querySelector("input")?.setAttribute("placeholder", "auto");
    this.shown.set(name, { controller, holder, parameter, mark });
    this.refresh(name, parameter);
  }

  private refresh(name: string, parameter: ParameterView): void {
    const shown = this.shown.get(name);
    if (!shown) return;
    shown.parameter = parameter;
    const changed = !equal(parameter.value, parameter.default);
    shown.controller.domElement.classList.toggle("changed", changed);
    shown.controller.domElement.title = describe(name, parameter);
    shown.mark.title = changed ? `${MARKS[parameter.applies]}. Click: back to ${text(parameter.default)}` : MARKS[parameter.applies];
    if (shown.controller.domElement.contains(document.activeElement) && document.activeElement instanceof HTMLInputElement) return;
    shown.holder.value = inForm(parameter.value);
    shown.controller.updateDisplay();
  }

  private async change(name: string, value: Json, confirm = false): Promise<void> {
    try {
      const answer = await send({ op: "set", changes: { [name]: value }, base_revision: this.revision, confirm });
      this.revision = answer.revision || this.revision;
      if (!answer.ok && answer.reruns.length) {
        this.say(`${answer.message} ${answer.reruns.join(", ")} would run again.`, true,
          button("Change it all the same", () => void this.change(name, value, true)),
          button("Leave it", () => {
            fill(this.note);
            void this.load();
          }));
        return;
      }
      this.say([answer.message, answer.hint].filter(Boolean).join(" "), !answer.ok);
    } catch (error) {
      this.say(inWords(error), true);
    }
    // Whatever was refused shows again what holds.
    if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
    await this.load();
  }

  private say(words: string, bad: boolean, ...more: HTMLElement[]): void {
    this.note.dataset["bad"] = String(bad);
    fill(this.note, words, ...more);
  }

  private filter(): void {
    const wanted = this.search.value.trim().toLowerCase();
    for (const [name, { controller, parameter }] of this.shown) {
      const hit = !wanted || `${name} ${name.replaceAll("_", " ")} ${parameter.effect}`.toLowerCase().includes(wanted);
      controller.show(hit);
    }
    for (const folder of this.gui?.folders ?? []) {
      const any = folder.controllers.some((controller) => !controller._hidden);
      folder.show(any);
      if (wanted && any) folder.open();
      else if (!wanted && this.run.stage(folder._title)?.state !== "started") folder.close();
    }
  }
}

function describe(name: string, { effect, unit, bounds, default: normal, applies }: ParameterView): string {
  const range = [
    "minimum" in bounds && `at least ${bounds["minimum"]}`,
    "exclusiveMinimum" in bounds && `more than ${bounds["exclusiveMinimum"]}`,
    "maximum" in bounds && `at most ${bounds["maximum"]}`,
    "exclusiveMaximum" in bounds && `less than ${bounds["exclusiveMaximum"]}`,
  ].filter(Boolean).join(", ");
  return [`${name}: ${effect}`, [range, unit].filter(Boolean).join(" "), `Default ${text(normal)}. A change ${MARKS[applies]}.`].filter(Boolean).join("\n");
}

function text(value: Json): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** Values that have no field of their own are written as JSON. */
function inForm(value: Json): string | number | boolean {
  return value === null ? "" : typeof value === "object" ? JSON.stringify(value) : value;
}

function fromForm(value: unknown, { value: before, default: normal, bounds }: ParameterView): Json | Error {
  const kinds = Array.isArray(bounds["anyOf"]) ? (bounds["anyOf"] as { type?: string }[]).map((one) => one.type) : [bounds["type"]];
  if (typeof value !== "string") return value as Json;
  if (value.trim() === "" && (before === null || normal === null || kinds.includes("null"))) return null;
  const plain = kinds.includes("string") || (typeof before === "string" && !kinds.includes("number"));
  if (plain && !kinds.includes("array")) return value;
  if (Array.isArray(bounds["enum"])) return value;
  try {
    return JSON.parse(value) as Json;
  } catch {
    return kinds.includes("array") || typeof before === "object" && before !== null ? new Error(`${value} is no list such as ["a", "b"].`) : value;
  }
}

function equal(a: Json, b: Json): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

