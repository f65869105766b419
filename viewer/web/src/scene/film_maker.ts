// A film of the camera path, rendered by the server: asked for, watched, called off.

import { inWords, send } from "../api";
import { button, choice, fill, h, setText, slider } from "../dom";
import { count, duration } from "../format";
import type { Command } from "../messages";
import type { Run } from "../run";
import type { CameraPath } from "./path";

const SIZES = ["640 × 360", "960 × 540", "1280 × 720", "1920 × 1080", "540 × 960", "720 × 720"].map((size): [string, string] => [size, size]);
const MOST_SECONDS = 60;

/** done: a film is there that was not there before. */
export function filmMaker(run: Run, path: CameraPath, done: () => void): HTMLElement {
  let size = "960 × 540";
  let seconds: number | null = null; // null: as long as the path is played
  let asking = false;
  let words = "";
  let finished = "";

  const sizes = choice<string>("Size", SIZES, size, (value) => {
    size = value;
  });
  const length = slider("Length", { min: 1, max: MOST_SECONDS, step: 0.5, value: 4 }, (value) => {
    seconds = value;
  }, (value) => `${value} s`);
  const start = button("Render film", () => void ask(order()), { title: "The server renders it, and keeps it in renders/" });
  const cancel = button("Cancel", () => void ask({ op: "cancel-render" }));
  const bar = h("i");
  const progress = h("div", { class: "progress", role: "progressbar", "aria-label": "Film", "aria-valuemin": 0, "aria-valuemax": 100 }, bar);
  const about = h("p", { class: "about", role: "status" });

  function order(): Command {
    const [width = 0, height = 0] = size.split(" × ").map(Number);
    return { op: "render-path", keyframes: path.toJson(), seconds: length.input.valueAsNumber, fps: 24, width, height };
  }

  async function ask(command: Command): Promise<void> {
    asking = true;
    words = "";
    refresh();
    try {
      const { ok, message, hint } = await send(command);
      if (!ok) words = [message, hint].filter(Boolean).join(" ");
    } catch (error) {
      words = inWords(error);
    }
    asking = false;
    refresh();
  }

  const refresh = () => {
    const film = run.view?.film ?? null;
    const rendering = film?.state === "rendering";
    start.hidden = rendering;
    start.disabled = asking || path.places.length < 2;
    cancel.hidden = progress.hidden = !rendering;
    cancel.disabled = asking;
    if (seconds === null && path.seconds > 0) {
      length.input.value = String(Math.min(MOST_SECONDS, path.seconds));
      const shown = length.element.querySelector("output");
      if (shown) setText(shown, `${length.input.value} s`);
    }
    if (film && rendering) {
      const share = film.total ? Math.round((100 * film.done) / film.total) : 0;
      bar.style.width = `${share}%`;
      progress.setAttribute("aria-valuenow", String(share));
      const left = film.left_s === null ? "" : `, ${duration(film.left_s)} left`;
      setText(about, words || `${film.name}: ${count(film.done)} of ${count(film.total)} frames${left}`);
    } else if (words || !film) {
      setText(about, words);
    } else if (film.state === "done") {
      fill(about, h("a", { href: `/renders/${film.file}`, target: "_blank", rel: "noopener" }, film.file),
        `, ${count(film.total)} frames${film.why ? `; ${film.why}` : ""}`);
    } else {
      setText(about, `${film.name}: ${film.state === "failed" ? "not rendered" : "called off"}${film.why ? `: ${film.why}` : ""}`);
    }
    if (film?.state === "done" && film.file !== finished) done();
    finished = film?.state === "done" ? film.file : "";
  };
  path.changed.on(refresh);
  run.renewed.on(refresh);
  run.event.on((event) => {
    if (event.kind !== "film") return;
    words = "";
    refresh();
  });
  refresh();
  return h("div", { class: "film-maker" }, sizes.element, length.element, h("div", { class: "row" }, start, cancel), progress, about);
}
