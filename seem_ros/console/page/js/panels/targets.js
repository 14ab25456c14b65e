// SPDX-License-Identifier: Apache-2.0
// The list of targets: thumbnail, colour, name, state, presence over the last minute, position.

import { byId, el } from "../dom.js";
import { chooseColour, colourOf } from "../colours.js";

const STATES = { 1: ["seen", "●"], 2: ["hidden", "◐"], 3: ["lost", "○"] };
const MINUTE_MS = 60000;
const SAMPLE_MS = 500;
const THUMBNAIL_MS = 1000;
const THUMBNAIL_PX = 56;

export class TargetsPanel {
  #rows = new Map();
  #actions;

  /** @param actions refine(id), remove(id), rename(id, label), teach(id, label), light(value), recolour(),
   *   offers(service) */
  constructor(actions) {
    this.#actions = actions;
  }

  get ids() {
    return [...this.#rows.keys()];
  }

  /** What a TargetArray says, drawn on the picture of about that time. */
  update(targets, picture) {
    const now = performance.now();
    for (const id of this.ids) if (!targets.some((target) => target.target_id === id)) this.#drop(id);
    for (const target of targets) {
      if (!this.#rows.has(target.target_id)) this.#add(target);
      this.#refresh(this.#rows.get(target.target_id), target, picture, now);
    }
    byId("no-targets").hidden = targets.length > 0;
    byId("remove-all").hidden = targets.length < 2;
  }

  clear() {
    this.update([], null);
  }

  /** Show which target is refined. */
  select(id) {
    for (const [its, row] of this.#rows) {
      row.item.classList.toggle("selected", its === id);
      row.refine.setAttribute("aria-pressed", its === id ? "true" : "false");
    }
  }

  #add(target) {
    const id = target.target_id;
    const { offers, refine, remove, rename, teach, light, recolour } = this.#actions;
    const row = { id, samples: [], sampled: 0, pictured: 0, value: target.value };
    row.thumbnail = el("canvas", { width: THUMBNAIL_PX, height: THUMBNAIL_PX, className: "thumbnail" });
    row.colour = el("input", { type: "color", className: "swatch", ariaLabel: `Colour of target ${id}`, title: "Colour" });
    row.colour.value = colourOf({ id, value: target.value });
    row.colour.oninput = () => {
      chooseColour(id, row.colour.value);
      recolour();
    };
    row.name = el("input", {
      className: "name", maxLength: 200, value: target.label, ariaLabel: `Name of target ${id}`,
      readOnly: !offers("rename"), title: offers("rename") ? "Change the name" : "",
    });
    row.name.onchange = () => rename(id, row.name.value.trim());
    row.name.onkeydown = (event) => {
      if (event.key === "Enter") row.name.blur();
      if (event.key === "Escape") {
        row.name.value = row.label;
        row.name.blur();
      }
    };
    row.state = el("span", { className: "state" });
    row.curve = el("canvas", { width: 120, height: 24, className: "curve", title: "Presence over the last minute" });
    row.place = el("span", { className: "place" });
    row.refine = el("button", { className: "quiet", ariaPressed: "false", title: "Next marks correct this target" }, "Refine");
    row.refine.onclick = () => refine(id);
    const teaching = el("button", { className: "quiet", title: "Remember it by its name" }, "Teach");
    teaching.onclick = () => teach(id, row.name.value.trim());
    teaching.hidden = !offers("teach");
    const removing = el("button", { className: "quiet", ariaLabel: `Remove target ${id}`, title: "Stop following it" }, "✕");
    removing.onclick = () => remove(id);
    row.item = el("li", {},
      row.thumbnail,
      el("div", { className: "what" },
        el("div", { className: "title" }, el("span", { className: "number" }, String(id)), row.colour, row.name),
        el("div", { className: "facts" }, row.state, row.curve, row.place),
        el("div", { className: "actions" }, row.refine, teaching, removing)));
    row.item.dataset.target = String(id);
    row.item.onpointerenter = () => light(row.value);
    row.item.onpointerleave = () => light(0);
    this.#rows.set(id, row);
    byId("targets").append(row.item);
  }

  #drop(id) {
    this.#rows.get(id).item.remove();
    this.#rows.delete(id);
  }

  #refresh(row, target, picture, now) {
    const [word, sign] = STATES[target.state] ?? ["unknown", "?"];
    row.value = target.value;
    row.label = target.label;
    if (document.activeElement !== row.name && row.name.value !== target.label) row.name.value = target.label;
    row.state.textContent = `${sign} ${word} ${Math.round(100 * target.presence)} %`;
    row.state.className = `state ${word}`;
    const { x, y, z } = target.position;
    row.place.textContent = target.has_position ? `x ${x.toFixed(2)}  y ${y.toFixed(2)}  z ${z.toFixed(2)} m` : "";
    if (now - row.sampled >= SAMPLE_MS) {
      row.sampled = now;
      row.samples.push({ at: now, presence: target.presence, seen: target.state === 1 });
      while (row.samples[0].at < now - MINUTE_MS) row.samples.shift();
      drawCurve(row.curve, row.samples, now);
    }
    if (picture && target.state === 1 && target.mask_score > 0 && now - row.pictured >= THUMBNAIL_MS) {
      row.pictured = now;
      drawThumbnail(row.thumbnail, picture, target.box);
    }
  }
}

function drawCurve(canvas, samples, now) {
  const context = canvas.getContext("2d");
  const [width, height] = [canvas.width, canvas.height];
  context.clearRect(0, 0, width, height);
  context.fillStyle = "rgba(127, 140, 155, 0.18)";
  context.fillRect(0, 0, width, height);
  const x = (sample) => width * (1 - (now - sample.at) / MINUTE_MS);
  const y = (sample) => height - 2 - (height - 4) * sample.presence;
  context.strokeStyle = "#56b4e9";
  context.lineWidth = 1.5;
  context.beginPath();
  samples.forEach((sample, index) => (index ? context.lineTo(x(sample), y(sample)) : context.moveTo(x(sample), y(sample))));
  context.stroke();
}

function drawThumbnail(canvas, picture, box) {
  const [width, height] = [box.x1 - box.x0, box.y1 - box.y0];
  if (width < 1 || height < 1) return;
  const side = 1.2 * Math.max(width, height);
  const scale = picture.sent.width / picture.width;
  const [left, top] = [(box.x0 + box.x1 - side) / 2, (box.y0 + box.y1 - side) / 2];
  const context = canvas.getContext("2d");
  context.fillStyle = "#10161d";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(picture.bitmap, left * scale, top * scale, side * scale, side * scale, 0, 0, canvas.width, canvas.height);
}
