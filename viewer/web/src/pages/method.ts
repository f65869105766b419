// The method at work: stages, figures over time, parameters, and the orders one can give.

import { inWords, send } from "../api";
import { button, fill, h, setText } from "../dom";
import { count, duration, number } from "../format";
import type { Command, StageView } from "../messages";
import type { Page } from "../page";
import type { Run } from "../run";
import { MetricCharts } from "./metrics";
import { Parameters } from "./parameters";

export function methodPage(run: Run): Page {
  const charts = new MetricCharts(run);
  const parameters = new Parameters(run);
  const stages = h("tbody");
  const told = h("p", { class: "about", role: "status" });
  const orders = h("div", { class: "row orders" });

  const order = (label: string, command: Command, sure = "") => button(label, async () => {
    if (sure && !confirm(sure)) return;
    try {
      const answer = await send(command);
      setText(told, [answer.message, answer.hint].filter(Boolean).join(" "));
    } catch (error) {
      setText(told, inWords(error));
    }
  });

  let state = "";
  const refresh = () => {
    const view = run.view;
    if (!view) return;
    fill(stages, ...view.stages.map(row));
    if (state === view.state) return;
    state = view.state;
    const active = state === "running" || state === "paused";
    fill(orders,
      state === "running" ? order("Pause", { op: "pause" }) : null,
      state === "paused" ? order("Go on", { op: "resume" }) : null,
      active ? order("Save a checkpoint", { op: "checkpoint" }) : null,
      state === "failed" ? order("Try again", { op: "retry" }) : null,
      active ? order("Stop", { op: "stop" }, "End the run after the step at hand? It keeps a checkpoint, and can be continued.") : null);
  };
  const stop = run.changed.on(refresh);
  refresh();

  return {
    id: "method",
    element: h("div", { class: "page method" },
      h("div", { class: "columns" },
        h("div", { class: "main-column" },
          h("div", { class: "table-frame" },
            h("table", { class: "stages" },
              h("thead", {}, h("tr", {}, ...["Stage", "State", "Done", "Rate", "Time", ""].map((name) => h("th", { class: name === "Rate" || name === "Time" ? "num" : null }, name)))), stages)),
          orders, told, charts.element),
        parameters.element)),
    close() {
      stop();
      charts.close();
      parameters.close();
    },
    stats: () => ({ ...charts.stats(), ...parameters.stats(), stages: stages.childElementCount }),
  };
}

function row(stage: StageView): HTMLElement {
  const part = stage.total ? Math.min(1, stage.done / stage.total) : stage.state === "done" ? 1 : 0;
  const progress = h("div", { class: "progress" }, h("i", { style: `width:${(100 * part).toFixed(1)}%` }));
  const done = stage.total === null ? (stage.done ? count(stage.done) : "") : `${count(stage.done)} of ${count(stage.total)} ${stage.unit}`;
  const remark = stage.doing || stage.why || (stage.checkpoint_step ? `checkpoint at step ${count(stage.checkpoint_step)}` : "");
  return h("tr", { "data-state": stage.state },
    h("th", { scope: "row" }, stage.name),
    h("td", { class: "stage-state" }, stage.state),
    h("td", {}, progress, h("small", {}, done)),
    h("td", { class: "num" }, stage.rate ? `${number(stage.rate, 3)}/s` : ""),
    h("td", { class: "num" }, [stage.seconds ? duration(stage.seconds) : "", stage.left_s ? `${duration(stage.left_s)} left` : ""].filter(Boolean).join(", ")),
    h("td", { class: "remark" }, [remark, stage.hint, stage.warnings ? `${stage.warnings} warning${stage.warnings > 1 ? "s" : ""}` : ""].filter(Boolean).join(" · ")));
}
