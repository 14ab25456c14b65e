// SPDX-License-Identifier: Apache-2.0
// Small helpers for elements. Text is always set as text, never as HTML: names come from other people.

export const byId = (id) => document.getElementById(id);

/** An element with properties and children: el("li", {className: "row"}, "text", other). */
export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** A short message at the edge of the screen. */
export function toast(text, kind = "note") {
  const shown = el("div", { className: `toast ${kind}` }, text);
  byId("toasts").append(shown);
  while (byId("toasts").children.length > 3) byId("toasts").firstChild.remove();
  setTimeout(() => shown.remove(), kind === "bad" ? 8000 : 4000);
}

export const isPressed = (button) => button.getAttribute("aria-pressed") === "true";

export function press(button, on) {
  button.setAttribute("aria-pressed", on ? "true" : "false");
}
