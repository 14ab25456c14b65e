// SPDX-License-Identifier: Apache-2.0
// The node's parameters, from its own descriptors, and its vocabulary.

import { readParameters, setParameter } from "../api.js";
import { byId, el, toast } from "../dom.js";

export class SettingsPanel {
  #asked = "";
  #node = "";
  #rows = [];
  #kinds = "";
  #onVocabulary;

  /** @param onVocabulary gets (things, stuff) as lists of names */
  constructor(onVocabulary) {
    this.#onVocabulary = onVocabulary;
    byId("filter").oninput = () => this.#filter();
  }

  /** Read a node's parameters. What is there already stays, so that nobody's typing is thrown away. */
  async load(node) {
    this.#asked = node;
    const rows = await readParameters(node).catch((error) => error);
    if (node !== this.#asked) return;
    if (rows instanceof Error) {
      this.#kinds = "";
      byId("parameters").replaceChildren(el("p", { className: "hint" }, rows.message));
      return;
    }
    const kinds = node + JSON.stringify(rows, (key, value) => (key === "value" ? undefined : value));
    if (kinds === this.#kinds) {
      rows.forEach((row, index) => this.#change(this.#rows[index], row.value));
    } else {
      this.#node = node;
      this.#kinds = kinds;
      this.#rows = rows.map((row) => ({ ...row, shows: [] }));
      const sorted = [...this.#rows].sort((one, other) => one.fixed - other.fixed);
      byId("parameters").replaceChildren(...sorted.map((row) => this.#element(row)));
      this.#makeVocabulary();
    }
    this.#tellVocabulary();
    this.#filter();
  }

  /** The value of a parameter, as it was read. */
  value(name) {
    return this.#rows.find((row) => row.name === name)?.value;
  }

  #filter() {
    const wanted = byId("filter").value.trim().toLowerCase();
    for (const element of byId("parameters").children) {
      element.hidden = wanted !== "" && !element.textContent.toLowerCase().includes(wanted);
    }
  }

  #element(row) {
    const id = `parameter-${row.name}`;
    const control = controlOf(row, id);
    control.disabled = row.fixed;
    const shown = el("output");
    const tell = () => { shown.textContent = control.value; };
    if (control.type === "range") {
      tell();
      control.addEventListener("input", tell);
    }
    this.#watch(row, control, tell);
    const note = row.fixed ? " Read when the node is configured." : "";
    return el("div", { className: "parameter" },
      el("label", { htmlFor: id }, row.name), control, control.type === "range" ? shown : null,
      el("p", { className: "hint" }, row.description + note));
  }

  /** Sends what is entered, and shows what the node has; `tell` is called after that. */
  #watch(row, control, tell = () => {}) {
    const show = () => {
      put(row, control, row.value);
      tell();
    };
    control.addEventListener("change", async () => {
      if (!(await this.#set(row, valueOf(row, control)))) show();
    });
    row.shows.push(() => { if (control !== document.activeElement) show(); });
  }

  async #set(row, value) {
    try {
      const done = await setParameter(this.#node, row.name, row.type, value);
      if (!done.success) throw new Error(done.message || "refused");
      this.#change(row, value);
      if (row.name === "things" || row.name === "stuff") this.#tellVocabulary();
      return true;
    } catch (error) {
      toast(error.message, "bad");
      return false;
    }
  }

  #change(row, value) {
    row.value = value;
    for (const show of row.shows) show();
  }

  #tellVocabulary() {
    this.#onVocabulary(names(this.value("things")), names(this.value("stuff")));
  }

  #makeVocabulary() {
    const fields = ["things", "stuff", "panoptic"].map((name) => this.#rows.find((row) => row.name === name));
    byId("vocabulary").replaceChildren(...fields.filter(Boolean).map((row) => {
      const id = `vocabulary-${row.name}`;
      const control = controlOf(row, id);
      if (row.type === "str") control.placeholder = "the model’s own";
      this.#watch(row, control);
      const words = { things: "Things, countable", stuff: "Stuff, like table or wall", panoptic: "Show all of them in the picture" };
      return el("label", { className: "line", htmlFor: id }, el("span", {}, words[row.name]), control);
    }));
  }
}

const names = (text) => (text ?? "").split(",").map((name) => name.trim()).filter(Boolean);

function controlOf(row, id) {
  let control;
  if (row.choices.length) {
    control = el("select", { id }, ...row.choices.map((choice) => el("option", { value: choice }, choice)));
  } else if (row.type === "bool") control = el("input", { id, type: "checkbox" });
  else if (row.type === "float" && row.range && row.range[1] - row.range[0] <= 10) {
    control = el("input", { id, type: "range", min: row.range[0], max: row.range[1], step: "0.001" });
  } else if (row.type === "int" || row.type === "float") {
    control = el("input", { id, type: "number", step: row.type === "int" ? "1" : "any" });
    if (row.range) [control.min, control.max] = row.range;
  } else control = el("input", { id, type: "text" });
  put(row, control, row.value);
  return control;
}

function put(row, control, value) {
  if (row.type === "bool") control.checked = value;
  else control.value = row.type === "list" ? value.join(", ") : String(value);
}

function valueOf(row, control) {
  if (row.type === "bool") return control.checked;
  if (row.type === "int" || row.type === "float") return control.value === "" ? NaN : Number(control.value);
  return row.type === "list" ? names(control.value) : control.value;
}
