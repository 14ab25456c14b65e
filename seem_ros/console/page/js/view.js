// SPDX-License-Identifier: Apache-2.0
// The picture with its masks on one canvas, names and marks sharply on another above it.

import { byId } from "./dom.js";
import { NOT_THIS, THIS, colourOf } from "./colours.js";
import { Masks } from "./masks.js";

const MARK_STAYS_MS = 1500;

export class View {
  #stage = byId("stage");
  #below = byId("picture");
  #above = byId("marks");
  #masks = new Masks();
  #marks = [];
  #hover = null;
  #listed = 0;
  #gone = new Set();

  constructor() {
    this.picture = null;
    this.cross = null;
    this.draft = null;
    this.colourChanged = () => this.redraw();
    new ResizeObserver(() => this.#fit()).observe(this.#stage);
  }

  /** Draw a picture that arrived. */
  show(picture) {
    this.picture?.bitmap.close();
    const resized = !this.picture || this.picture.width !== picture.width || this.picture.height !== picture.height;
    this.picture = this.#withoutGone(picture);
    this.#masks.load(picture);
    if (resized) this.#fit();
    this.redraw();
  }

  /** Targets that are gone leave the picture at once: it may stand for a while, and who clicks there means a new one. */
  drop(gone, there) {
    for (const id of there) this.#gone.delete(id);
    for (const id of gone) this.#gone.add(id);
    if (!this.picture || !gone.length) return;
    this.#withoutGone(this.picture);
    this.redraw();
  }

  #withoutGone(picture) {
    picture.segments = picture.segments.filter((segment) => !this.#gone.has(segment.id));
    return picture;
  }

  /** Nothing to see (any more). */
  clear() {
    this.picture = null;
    this.#gone.clear();
    this.#masks.forget();
    this.#below.getContext("2d").clearRect(0, 0, this.#below.width, this.#below.height);
    this.redraw();
  }

  redraw() {
    const { picture } = this;
    if (picture) {
      const context = this.#below.getContext("2d", { alpha: false });
      context.drawImage(picture.bitmap, 0, 0, this.#below.width, this.#below.height);
      const painted = this.#masks.paint(picture, this.#lit());
      if (painted) context.drawImage(painted, 0, 0, this.#below.width, this.#below.height);
    }
    this.redrawAbove();
  }

  /** The segment under a pixel of the source picture, or null. */
  segmentAt({ x, y }) {
    const { picture } = this;
    if (!picture?.runs) return null;
    const value = this.#masks.at((x * this.#masks.width) / picture.width, (y * this.#masks.height) / picture.height);
    return value ? picture.segments.find((segment) => segment.value === value) ?? null : null;
  }

  /** Light up what is under a pixel; null = nothing. */
  hover(pixel) {
    const before = this.#lit();
    this.#hover = pixel;
    if (this.#lit() !== before) this.redraw();
  }

  /** Light up a segment by its value, from the list; 0 = none. */
  light(value) {
    this.#listed = value;
    this.redraw();
  }

  // what has moved away from under the pointer, or is gone, is not lit any more
  #lit() {
    const value = this.#listed || (this.#hover ? this.segmentAt(this.#hover)?.value ?? 0 : 0);
    return this.picture?.segments.some((segment) => segment.value === value) ? value : 0;
  }

  /** Show a mark for a moment, or until `done` is called. */
  mark(mark) {
    const shown = { ...mark, until: Infinity };
    this.#marks.push(shown);
    this.redrawAbove();
    return () => {
      shown.until = performance.now() + MARK_STAYS_MS;
      setTimeout(() => {
        this.#marks = this.#marks.filter((one) => one !== shown);
        this.redrawAbove();
      }, MARK_STAYS_MS);
    };
  }

  /** From a pointer's place on the screen to pixels of the source picture, or null outside. */
  toPixel(clientX, clientY) {
    const { picture } = this;
    const box = this.#above.getBoundingClientRect();
    if (!picture || !box.width) return null;
    const [x, y] = [((clientX - box.left) / box.width) * picture.width, ((clientY - box.top) / box.height) * picture.height];
    return { x: clamp(x, 0, picture.width - 1), y: clamp(y, 0, picture.height - 1) };
  }

  #fit() {
    const { picture } = this;
    const ratio = picture ? picture.width / picture.height : 4 / 3;
    const width = this.#stage.clientWidth;
    const limit = this.#stage.clientHeight || width / ratio;
    const shown = Math.min(width, limit * ratio);
    for (const canvas of [this.#below, this.#above]) {
      canvas.style.width = `${Math.round(shown)}px`;
      canvas.style.height = `${Math.round(shown / ratio)}px`;
    }
    const sharp = window.devicePixelRatio || 1;
    this.#above.width = Math.round(shown * sharp);
    this.#above.height = Math.round((shown / ratio) * sharp);
    if (picture) {
      // masks stay crisp on small pictures, and large ones cost no more than they must
      const scale = Math.min(1, 1280 / picture.width);
      this.#below.width = Math.round(picture.width * scale);
      this.#below.height = Math.round(picture.height * scale);
    }
    this.redraw();
  }

  redrawAbove() {
    const context = this.#above.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.#above.width, this.#above.height);
    const { picture } = this;
    if (!picture) return;
    const scale = this.#above.width / picture.width;
    const unit = window.devicePixelRatio || 1;
    if (picture.runs) this.#names(context, picture, scale, unit);
    for (const mark of this.#marks) drawMark(context, mark, scale, unit);
    if (this.draft) drawMark(context, this.draft, scale, unit);
    if (this.cross) drawCross(context, this.cross, scale, unit);
  }

  #names(context, picture, scale, unit) {
    const across = (picture.width / this.#masks.width) * scale;
    context.font = `600 ${12 * unit}px system-ui, sans-serif`;
    context.textBaseline = "middle";
    const taken = [];
    for (const segment of picture.segments) {
      const place = this.#masks.places.get(segment.value);
      if (!place) continue;
      const text = `${segment.id ? `${segment.id} ` : ""}${segment.label}`;
      const [width, height] = [context.measureText(text).width + 18 * unit, 18 * unit];
      const left = clamp(place.x * across - width / 2, 2, Math.max(2, this.#above.width - width - 2));
      let top = clamp(place.top * across - height - 3 * unit, 2, this.#above.height - height - 2);
      while (taken.some((one) => left < one.right && left + width > one.left && Math.abs(top - one.top) < height)) {
        top += height + 1;
      }
      taken.push({ left, right: left + width, top });
      context.fillStyle = "rgba(10, 16, 24, 0.78)";
      context.fillRect(left, top, width, height);
      context.fillStyle = colourOf(segment);
      context.fillRect(left, top, 5 * unit, height);
      context.fillStyle = "#fff";
      context.fillText(text, left + 10 * unit, top + height / 2);
    }
  }
}

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

function drawMark(context, mark, scale, unit) {
  const colour = mark.negative ? NOT_THIS : THIS;
  context.save();
  context.lineJoin = "round";
  context.lineCap = "round";
  if (mark.kind === "click") {
    const [x, y] = [mark.x * scale, mark.y * scale];
    context.fillStyle = colour;
    context.strokeStyle = "#fff";
    context.lineWidth = 2 * unit;
    context.beginPath();
    context.arc(x, y, 9 * unit, 0, 2 * Math.PI);
    context.fill();
    context.stroke();
    context.beginPath();
    context.moveTo(x - 4 * unit, y);
    context.lineTo(x + 4 * unit, y);
    if (!mark.negative) {
      context.moveTo(x, y - 4 * unit);
      context.lineTo(x, y + 4 * unit);
    }
    context.stroke();
  } else {
    const stroke = () => {
      context.beginPath();
      if (mark.kind === "box") {
        context.rect(mark.x0 * scale, mark.y0 * scale, (mark.x1 - mark.x0) * scale, (mark.y1 - mark.y0) * scale);
      } else {
        mark.points.forEach((point, index) => {
          if (index) context.lineTo(point.x * scale, point.y * scale);
          else context.moveTo(point.x * scale, point.y * scale);
        });
      }
      context.stroke();
    };
    if (mark.kind === "scribble") context.globalAlpha = 0.8;
    const width = mark.kind === "scribble" ? mark.width * scale : 2.5 * unit;
    context.strokeStyle = "#fff";
    context.lineWidth = width + 2.5 * unit;
    stroke();
    context.strokeStyle = colour;
    context.lineWidth = width;
    if (mark.negative && mark.kind === "box") context.setLineDash([7 * unit, 6 * unit]);
    stroke();
  }
  context.restore();
}

function drawCross(context, { x, y }, scale, unit) {
  context.save();
  for (const [colour, width] of [["#000", 3.5], ["#fff", 1.5]]) {
    context.strokeStyle = colour;
    context.lineWidth = width * unit;
    context.beginPath();
    context.moveTo(x * scale - 14 * unit, y * scale);
    context.lineTo(x * scale + 14 * unit, y * scale);
    context.moveTo(x * scale, y * scale - 14 * unit);
    context.lineTo(x * scale, y * scale + 14 * unit);
    context.stroke();
  }
  context.restore();
}
