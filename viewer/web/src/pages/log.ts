// What happened, in words; and the end of each stage's own log.

import { getJson, inWords } from "../api";
import { choice, fill, h, setText } from "../dom";
import { clock, duration } from "../format";
import type { LogAnswer, RunEvent } from "../messages";
import type { Page } from "../page";
import type { Run } from "../run";
import { throttled } from "../signal";

type Level = "all" | "warning" | "problem";
const LEVELS: [Level, string][] = [
  ["all", "everything"],
  ["warning", "warnings and problems"],
  ["problem", "problems"],
];
const MOST_LINES = 500;
const TAIL_LINES = 200;
const TAIL_MS = 3000;

export function logPage(run: Run): Page {
  const list = h("ol", { class: "events" });
  const tail = h("pre", { class: "tail", tabindex: 0 });
  const search = h("input", { type: "search", placeholder: "Text", "aria-label": "Part of the text" });
  let level: Level = "all";
  let stage = "";
  const levels = choice("Show", LEVELS, level, (value) => {
    level = value;
    draw();
  });
  const stages = choice<string>("Stage", [["", "all stages"]], "", (value) => {
    stage = value;
    draw();
    void readTail();
  });
  search.addEventListener("input", () => draw());

  const draw = throttled(300, () => {
    const known = ["", ...(run.view?.stages.map((one) => one.name) ?? [])];
    if (stages.input.options.length !== known.length) {
      fill(stages.input, ...known.map((name) => h("option", { value: name }, name || "all stages")));
      stages.input.value = stage;
    }
    const text = search.value.toLowerCase();
    const seen = run.log.filter((event) => {
      const words = inText(event);
      return (
        (!stage || event.stage === stage) &&
        (level === "all" || words.level === "problem" || words.level === level) &&
        (!text || words.text.toLowerCase().includes(text))
      );
    });
    const below = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    fill(list, ...seen.slice(-MOST_LINES).map(line));
    if (!seen.length) fill(list, h("li", { class: "empty" }, run.log.length ? "Nothing here answers to that." : "Nothing has happened yet."));
    if (below) list.scrollTop = list.scrollHeight;
  });

  async function readTail(): Promise<void> {
    const of = stage || run.view?.stages.find((one) => one.state === "started")?.name || run.view?.stages.at(-1)?.name;
    if (!of) return;
    try {
      const { lines } = await getJson<LogAnswer>(`/api/log?${new URLSearchParams({ stage: of, lines: String(TAIL_LINES) })}`);
      const below = tail.scrollHeight - tail.scrollTop - tail.clientHeight < 40;
      setText(heading, `Log of ${of}`);
      setText(tail, lines.join("\n") || "Empty.");
      if (below) tail.scrollTop = tail.scrollHeight;
    } catch (error) {
      setText(tail, inWords(error));
    }
  }

  const heading = h("h2", {}, "Log");
  const stops = [run.logged.on(draw), run.renewed.on(draw)];
  const timer = setInterval(() => {
    if (!document.hidden && run.view?.state === "running") void readTail();
  }, TAIL_MS);
  return {
    id: "log",
    element: h("div", { class: "page log" },
      h("header", { class: "tools" }, h("h2", {}, "Events"), h("span", { class: "grow" }), search, levels.element, stages.element),
      list, heading, tail),
    show() {
      draw();
      void readTail();
    },
    close() {
      clearInterval(timer);
      for (const stop of stops) stop();
    },
    stats: () => ({ lines: list.childElementCount, tail: tail.textContent?.length ?? 0 }),
  };
}

function line(event: RunEvent): HTMLElement {
  const { level, text } = inText(event);
  return h("li", { "data-level": level },
    h("time", {}, clock(event.time)), h("span", { class: "stage-name" }, event.stage || "run"), h("span", { class: "words" }, text));
}

function inText(event: RunEvent): { level: "" | "warning" | "problem"; text: string } {
  switch (event.kind) {
    case "warning":
      return { level: "warning", text: [event.subject, event.message].filter(Boolean).join(": ") };
    case "stage":
      return {
        level: event.state === "failed" ? "problem" : "",
        text: [event.state, event.seconds ? `after ${duration(event.seconds)}` : "", event.why, event.hint].filter(Boolean).join(" · "),
      };
    case "run":
      return {
        level: event.state === "failed" ? "problem" : "",
        text: [`the run is ${event.state}`, event.why, event.hint].filter(Boolean).join(" · "),
      };
    case "parameter":
      return {
        level: "",
        text: `${event.parameter}: ${JSON.stringify(event.old)} becomes ${JSON.stringify(event.new)}, by ${event.by}` + (event.step === null ? "" : `, in effect from step ${event.step}`),
      };
    case "checkpoint":
      return { level: "", text: `checkpoint at step ${event.step}` };
    default:
      return { level: "", text: event.kind };
  }
}
