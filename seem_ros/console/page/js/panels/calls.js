// SPDX-License-Identifier: Apache-2.0
// The log of calls: each as the shell line that does the same, with its answer.

import { byId, el, toast } from "../dom.js";

const KEPT = 200;

export function addCall(entry) {
  const list = byId("calls");
  if (list.querySelector(`[data-number="${entry.number}"]`)) return; // told again after a reconnection
  const copy = el("button", { className: "quiet", title: "Copy the line" }, "Copy");
  copy.onclick = () => copyText(entry.line);
  const item = el("li", { className: entry.success ? "good" : "bad" },
    el("div", { className: "facts" }, el("span", {}, entry.time), el("strong", {}, entry.service),
      el("span", {}, entry.success ? "✓ done" : "✕ refused"), el("span", {}, `${entry.took_ms} ms`), copy),
    el("code", {}, entry.line),
    entry.message ? el("p", {}, entry.message) : null);
  item.dataset.number = String(entry.number);
  list.prepend(item);
  while (list.children.length > KEPT) list.lastChild.remove();
}

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // without https the clipboard is closed to pages of other machines; the old way still works
    const field = el("textarea", { value: text });
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
  }
  toast("Copied.");
}
