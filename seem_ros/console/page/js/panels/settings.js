// SPDX-License-Identifier: Apache-2.0
// The node's parameters, from its own descriptors, and its vocabulary.

import { readParameters, setParameter } from "../api.js";
import { byId, el, toast } from "../dom.js";

export class SettingsPanel {
  #node = "";
  #rows = [];
  #onVocabulary;

  /** @param onVocabulary gets (things, stuff) as lists of names */
  constructor(onVocabulary) {
    this.#onVocabulary = onVocabulary;
    byId("filter").oninput = () => this.#filter();
  }

  /** Read a node's parameters. */
  async load(node) {
    this.#node = node;
    try {
      this.#rows = await readParameters(node);
    } catch (error) {
      byId("parameters").replaceChildren(el("p", { className: "hint" }, error.message));
      return;
    }
    const sorted = [...this.#rows].sort((one, other) => one.fixed - other.fixed);
    byId("parameters").replaceChildren(...sorted.map((row) => this.#element(row)));
    this.#showVocabulary();
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
    const shown = el("output", {}, row.range && row.type !== "list" ? String(row.value) : "");
    control.addEventListener("change", async () => {
      const value = valueOf(row, control);
      shown.textContent = row.range ? String(value) : "";
      if (!(await this.#set(row, value))) put(row, control, row.value);
    });
    if (control.type === "range") control.addEventListener("input", () => { shown.textContent = control.value; });
    const note = row.fixed ? " Read when the node is configured." : "";
    return el("div", { className: "parameter" },
      el("label", { htmlFor: id }, row.name), control, control.type === "range" ? shown : null,
      el("p", { className: "hint" }, row.description + note));
  }

  async #set(row, value) {
    try {
      const done = await setParameter(this.#node, row.name, row.type, value);
      if (!done.success) throw new Error(done.message || "refused");
      row.value = value;
      if (row.name === "things" || row.name === "stuff") this.#showVocabulary();
      return true;
    } catch (error) {
      toast(error.message, "bad");
      return false;
    }
  }

  #showVocabulary() {
    const fields = ["things", "stuff", "panoptic"].map((name) => this.#rows.find((row) => row.name === name));
    byId("vocabulary").replaceChildren(...fields.filter(Boolean).map((row) => {
      const id = `vocabulary-${row.name}`;
      const control = controlOf(row, id);
      if (row.type === "str") control.placeholder = "the model’s own";
      control.addEventListener("change", async () => {
        if (await this.#set(row, valueOf(row, control))) this.load(this.#node);
        else put(row, control, row.value);
      });
      const words = { things: "Things, countable", stuff: "Stuff, like table or wall", panoptic: "Show all of them in the picture" };
      return el("label", { className: "line", htmlFor: id }, el("span", {}, words[row.name]), control);
    }));
    this.#onVocabulary(names(this.value("things")), names(this.value("stuff")));
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
