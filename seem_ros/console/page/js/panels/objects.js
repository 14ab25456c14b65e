// SPDX-License-Identifier: Apache-2.0
// Objects that were taught: what the node remembers, and how to make it forget.

import { byId, el } from "../dom.js";

/** @param objects RememberedObject as plain values @param actions find(name), forget(name) */
export function showObjects(objects, actions) {
  byId("taught").hidden = objects.length === 0;
  byId("objects").replaceChildren(...objects.map((object) => {
    const pictures = object.thumbnails.filter((one) => one.url).slice(0, 4)
      .map((one) => el("img", { src: one.url, alt: "" }));
    const find = el("button", { className: "quiet" }, "Find");
    find.onclick = () => actions.find(object.name);
    const forget = el("button", { className: "quiet", ariaLabel: `Forget ${object.name}` }, "Forget");
    forget.onclick = () => actions.forget(object.name);
    const views = object.taught.length;
    return el("li", {}, el("div", { className: "views" }, ...pictures), el("span", { className: "name" }, object.name),
      el("span", { className: "hint" }, `${views} view${views === 1 ? "" : "s"}`), find, forget);
  }));
}
