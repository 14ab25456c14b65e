// SPDX-License-Identifier: Apache-2.0
// What the node says about itself: in words, and its latency per stage as bars.

import { byId, el } from "../dom.js";

const WORDS = { OK: ["✓", "fine"], WARN: ["!", "look here"], ERROR: ["✕", "wrong"], STALE: ["…", "silent"] };

export function showHealth({ statuses, problems }) {
  if (byId("panel-health").hidden) return;
  const parts = statuses.map(statusElement);
  for (const problem of problems) parts.unshift(el("p", { className: "level WARN" }, `! ${problem}`));
  if (!parts.length) {
    parts.push(el("p", { className: "hint" }, "The node says nothing about itself: it is not active, or gone."));
  }
  byId("health").replaceChildren(...parts);
}

function statusElement(status) {
  const [sign, word] = WORDS[status.level] ?? WORDS.STALE;
  const stages = [];
  const rest = [];
  for (const [key, value] of Object.entries(status.values)) {
    if (key.endsWith("_p95_ms")) continue;
    if (key.endsWith("_ms")) {
      const stage = key.slice(0, -3);
      stages.push([stage, Number(value), Number(status.values[`${stage}_p95_ms`] ?? value)]);
    } else rest.push([key, value]);
  }
  return el("article", { className: "status-card" },
    el("h3", {}, el("span", { className: `level ${status.level}` }, `${sign} ${word}`), ` ${status.name}`),
    el("p", {}, status.message),
    stages.length ? bars(stages) : null,
    el("dl", {}, ...rest.flatMap(([key, value]) => [el("dt", {}, key.replaceAll("_", " ")), el("dd", {}, value)])));
}

function bars(stages) {
  const longest = Math.max(...stages.map(([, , p95]) => p95), 1);
  return el("table", { className: "bars" },
    el("caption", {}, "Milliseconds per stage: median, and the 95th percentile"),
    ...stages.map(([stage, median, p95]) => {
      const bar = el("span", { className: "bar" });
      bar.style.width = `${(100 * p95) / longest}%`;
      const inner = el("span", { className: "median" });
      inner.style.width = `${(100 * median) / Math.max(p95, 0.01)}%`;
      bar.append(inner);
      return el("tr", {}, el("th", { scope: "row" }, stage), el("td", { className: "track" }, bar),
        el("td", { className: "figure" }, `${median.toFixed(1)} / ${p95.toFixed(1)}`));
    }));
}
