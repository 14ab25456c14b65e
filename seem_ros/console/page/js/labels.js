// SPDX-License-Identifier: Apache-2.0
// Correcting labels: a list of doubtful pictures, and a dialogue in which the things of one are outlined anew.

import { askOutline, readLabels, saveLabel } from "./api.js";
import { colourOf, packColour } from "./colours.js";
import { byId, el, isPressed, press, toast } from "./dom.js";
import { promptOf } from "./prompts.js";

const BRUSH = 0.012; // of the picture's width: a stroke as wide as a fingertip is long on the screen

export class LabelDesk {
  #dialogue = byId("label");
  #canvas = byId("label-picture");
  #node;
  #file = "";
  #picture = null;
  #ids = null; // Uint8Array, an object's id per pixel
  #mask = null; // Uint8Array, the outline that is being made, or null
  #objects = [];
  #chosen = 0; // 0 = a new thing
  #marks = [];
  #from = null;
  #wipes = false;
  #asked = 0;

  /** @param node tells which node answers */
  constructor(node) {
    this.#node = node;
    byId("label-close").onclick = () => this.#dialogue.close();
    for (const toggle of [byId("label-paint"), byId("label-negative")]) {
      toggle.onclick = () => press(toggle, !isPressed(toggle));
    }
    byId("label-save").onclick = () => this.#save("outline");
    byId("label-remove").onclick = () => this.#save("remove");
    byId("label-right").onclick = () => this.#save("right");
    byId("label-name").oninput = () => this.#ready();
    this.#canvas.oncontextmenu = (event) => event.preventDefault();
    this.#canvas.onpointerdown = (event) => this.#down(event);
    this.#canvas.onpointermove = (event) => this.#move(event);
    this.#canvas.onpointerup = (event) => this.#up(event);
  }

  /** Fill the list; without labels there is no such panel. */
  async load() {
    const found = await readLabels().catch(() => ({ pictures: null }));
    byId("tab-labels").hidden = !found.pictures;
    if (!found.pictures) return;
    byId("labels-left").textContent = `${found.left} of ${found.all} are left.`;
    byId("label-pictures").replaceChildren(...found.pictures.map((one) => {
      const button = el("button", {}, `${one.file.split("/").slice(1).join(" ")} (${one.doubt.toFixed(2)}) ${one.why}`);
      button.dataset.file = one.file;
      button.onclick = () => this.#open(one.file);
      return el("li", {}, button);
    }));
  }

  async #open(file) {
    try {
      await this.#show(await readLabels(file));
      if (this.#dialogue.open) return;
      press(byId("label-negative"), false);
      this.#dialogue.showModal();
    } catch (error) {
      toast(error.message, "bad");
    }
  }

  async #show(opened) {
    const [picture, ids] = await Promise.all([opened.picture, opened.ids].map(loaded));
    this.#file = opened.file;
    this.#picture = picture;
    [this.#canvas.width, this.#canvas.height] = [picture.width, picture.height];
    this.#ids = pixelsOf(ids, 0);
    this.#objects = opened.objects;
    byId("label-file").textContent = opened.file.split("/").pop();
    this.#choose(this.#objects.some((one) => one.id === this.#chosen) ? this.#chosen : this.#objects[0]?.id ?? 0);
  }

  #choose(id) {
    this.#chosen = id;
    this.#mask = null;
    this.#marks = [];
    byId("label-name").value = this.#objects.find((one) => one.id === id)?.name ?? "";
    byId("label-said").textContent = "";
    byId("label-remove").disabled = !id;
    byId("label-objects").replaceChildren(...[...this.#objects, { id: 0, name: "New" }].map((one) => {
      const dot = el("span", { className: "dot" });
      dot.style.background = one.id ? colourOf({ value: one.id }) : "transparent";
      const button = el("button", { role: "radio" }, dot, one.name);
      button.ariaChecked = String(one.id === id);
      button.dataset.object = one.id;
      button.onclick = () => this.#choose(one.id);
      return button;
    }));
    this.#ready();
    this.#draw();
  }

  /** Saved is what has another outline or name, and a new thing needs both. */
  #ready() {
    const name = byId("label-name").value.trim();
    const old = this.#objects.find((one) => one.id === this.#chosen);
    byId("label-save").disabled = !name || !(this.#mask || (old && name !== old.name));
  }

  // ---------------------------------------------------------------------------------------------- pointing

  #down(event) {
    this.#from = this.#pixel(event);
    this.#wipes = event.shiftKey || event.button === 2 || isPressed(byId("label-negative"));
    this.#canvas.setPointerCapture(event.pointerId);
    if (isPressed(byId("label-paint"))) this.#paint(this.#from);
  }

  #move(event) {
    if (!this.#from) return;
    if (isPressed(byId("label-paint"))) this.#paint(this.#pixel(event));
    else this.#draw(boxOf(this.#from, this.#pixel(event)));
  }

  #up(event) {
    if (!this.#from) return;
    const box = boxOf(this.#from, this.#pixel(event));
    const small = Math.max(box.x1 - box.x0, box.y1 - box.y0) < this.#canvas.width / 60;
    const from = this.#from;
    this.#from = null;
    if (isPressed(byId("label-paint"))) return;
    if (small) this.#marks.push({ kind: "click", ...from, negative: this.#wipes });
    else if (this.#wipes) this.#marks.push({ ...box, negative: true });
    else this.#marks = [...this.#marks.filter((mark) => mark.kind !== "box" || mark.negative), box];
    this.#ask();
  }

  #paint({ x, y }) {
    this.#mask ??= Uint8Array.from(this.#ids, (id) => (this.#chosen && id === this.#chosen ? 255 : 0));
    const { width, height } = this.#canvas;
    const reach = Math.max(1, Math.round(BRUSH * width));
    for (let row = Math.max(0, Math.floor(y) - reach); row <= Math.min(height - 1, Math.floor(y) + reach); row += 1) {
      for (let at = Math.max(0, Math.floor(x) - reach); at <= Math.min(width - 1, Math.floor(x) + reach); at += 1) {
        if ((row - y) ** 2 + (at - x) ** 2 <= reach ** 2) this.#mask[row * width + at] = this.#wipes ? 0 : 255;
      }
    }
    this.#ready();
    this.#draw();
  }

  async #ask() {
    this.#asked += 1;
    const mine = this.#asked;
    byId("label-said").textContent = "Asking…";
    try {
      const found = await askOutline(this.#node(), this.#file, this.#chosen, promptOf(this.#marks));
      const mask = pixelsOf(await loaded(found.mask), 0);
      if (mine !== this.#asked) return; // another mark was made meanwhile
      byId("label-said").textContent = found.found ? "Save, or mark more." : found.message;
      this.#mask = found.found ? mask : this.#mask;
    } catch (error) {
      byId("label-said").textContent = error.message;
    }
    this.#ready();
    this.#draw();
  }

  async #save(action) {
    const { width, height } = this.#canvas;
    const mask = this.#mask ?? Uint8Array.from(this.#ids, (id) => (id === this.#chosen ? 255 : 0));
    const before = new Set(this.#objects.map((one) => one.id));
    try {
      const saved = await saveLabel({
        file: this.#file,
        action,
        object: this.#chosen,
        name: action === "outline" ? byId("label-name").value : "",
        mask: action === "outline" ? asPng(mask, width, height) : "",
      });
      this.#chosen ||= saved.objects.find((one) => !before.has(one.id))?.id ?? 0;
      await this.#show(saved);
      byId("label-said").textContent = "Saved.";
      if (action === "right") this.#dialogue.close();
      await this.load();
    } catch (error) {
      byId("label-said").textContent = error.message;
    }
  }

  // ---------------------------------------------------------------------------------------------- drawing

  #pixel(event) {
    const box = this.#canvas.getBoundingClientRect();
    const inside = (value, side) => Math.min(Math.max(value * side, 0), side - 1);
    return {
      x: inside((event.clientX - box.left) / box.width, this.#canvas.width),
      y: inside((event.clientY - box.top) / box.height, this.#canvas.height),
    };
  }

  #draw(draft = null) {
    const { width, height } = this.#canvas;
    const context = this.#canvas.getContext("2d");
    const tint = new ImageData(width, height);
    const words = new Uint32Array(tint.data.buffer);
    const colours = new Map([...this.#objects, { id: 0 }].map((one) => [one.id, one.id ? colourOf({ value: one.id }) : "#ffffff"]));
    const of = (id, alpha) => (colours.has(id) ? packColour(colours.get(id), alpha) : 0);
    this.#ids.forEach((id, at) => {
      const own = this.#chosen && id === this.#chosen;
      if (id && !(own && this.#mask)) words[at] = of(id, own ? 0.6 : 0.35);
      if (this.#mask?.[at]) words[at] = of(this.#chosen, 0.6);
    });
    const layer = new OffscreenCanvas(width, height);
    layer.getContext("2d").putImageData(tint, 0, 0);
    context.drawImage(this.#picture, 0, 0);
    context.drawImage(layer, 0, 0);
    if (!draft) return;
    context.strokeStyle = "#fff";
    context.lineWidth = width / 200;
    context.strokeRect(draft.x0, draft.y0, draft.x1 - draft.x0, draft.y1 - draft.y0);
  }
}

async function loaded(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  return image;
}

/** One channel of a picture, a byte a pixel. */
function pixelsOf(image, channel) {
  const canvas = new OffscreenCanvas(image.width, image.height);
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const { data } = context.getImageData(0, 0, image.width, image.height);
  return Uint8Array.from({ length: data.length / 4 }, (_, at) => data[4 * at + channel]);
}

function asPng(mask, width, height) {
  const canvas = el("canvas", { width, height });
  const picture = new ImageData(width, height);
  mask.forEach((value, at) => { picture.data[4 * at + 3] = value; });
  canvas.getContext("2d").putImageData(picture, 0, 0);
  return canvas.toDataURL("image/png");
}

const boxOf = (one, other) => ({
  kind: "box",
  x0: Math.min(one.x, other.x), y0: Math.min(one.y, other.y),
  x1: Math.max(one.x, other.x), y1: Math.max(one.y, other.y),
});
