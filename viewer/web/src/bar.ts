// The bar at the top: pages, what the run does, and how fresh that is.

import { type Address, address, link, moved } from "./address";
import { h, setText } from "./dom";
import { age, duration } from "./format";
import type { Run } from "./run";
import type { Connection } from "./stream";

export interface PageName {
  id: string;
  label: string;
  /** Addresses that belong to this page besides its own. */
  also?: string[];
}

const WORDS: { [key in Connection]: string } = {
  connecting: "reconnecting",
  live: "live",
  polling: "polling",
  lost: "no connection",
  refused: "signed out",
};

const REFUSED =
  "This server does not know this browser's token: the engine was started again, and each start has a new one. " +
  "Open the address that the terminal prints (barfield view RUN prints it again).";

export function topBar(run: Run, pages: () => PageName[]): { element: HTMLElement; refresh(): void } {
  const name = h("span", { class: "run-name" });
  const state = h("span", { class: "run-state" });
  const doing = h("span", { class: "run-doing" });
  const fresh = h("span", { class: "fresh", role: "status" });
  const nav = h("nav", { "aria-label": "Pages" });
  const banner = h("div", { class: "banner", role: "alert", hidden: true });
  const element = h(
    "header",
    { class: "top" },
    h("div", { class: "bar" }, h("div", { class: "who" }, name, state), nav, doing, fresh),
    banner,
  );

  const showNav = (at: Address) => {
    nav.replaceChildren(
      ...pages().map((page) =>
        h(
          "a",
          {
            href: link(page.id),
            "aria-current": page.id === at.page || page.also?.includes(at.page) ? "page" : null,
          },
          page.label,
        ),
      ),
    );
  };

  const refresh = () => {
    const view = run.view;
    const connection = run.stream.state;
    const stale = run.stream.age > 8 || connection === "lost" || connection === "refused";
    setText(name, view?.run ?? "barfield");
    setText(state, view?.state ?? "");
    state.dataset["state"] = view?.state ?? "";
    const active = view?.stages.find((stage) => stage.state === "started");
    const progress = active?.total ? `${active.done} of ${active.total} ${active.unit}` : (active?.doing ?? "");
    const summary = active ? `${active.name} ${progress}` : (view?.why ?? "");
    setText(doing, [summary, view && duration(run.seconds)].filter(Boolean).join(" · "));
    doing.title = active?.doing ?? "";
    setText(fresh, stale ? `${WORDS[connection]}, data ${age(run.stream.age)}` : WORDS[connection]);
    fresh.dataset["state"] = stale && connection === "live" ? "connecting" : connection;
    const words =
      connection === "refused"
        ? REFUSED
        : connection === "lost"
          ? `The server does not answer. What you see is ${age(run.stream.age)}; trying again.`
          : view?.state === "failed"
            ? `The run failed: ${view.why} ${view.hint}`
            : "";
    banner.hidden = !words;
    setText(banner, words);
  };

  showNav(address());
  moved.on(showNav);
  run.changed.on(refresh);
  run.renewed.on(() => showNav(address()));
  run.stream.changed.on(refresh);
  setInterval(() => document.hidden || refresh(), 1000);
  refresh();
  return { element, refresh: () => showNav(address()) };
}
