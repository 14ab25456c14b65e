// SPDX-License-Identifier: Apache-2.0
// Pointer, touch and keyboard on the picture become marks: click, box, scribble; this or not this.

const DRAG_PX = 6;
const LONG_PRESS_MS = 550;
const STEP_PX = 4;
const PEN_PART = 1 / 40;

/**
 * @param canvas takes the events
 * @param view knows the picture
 * @param options tool() is "point" or "pen"; negative() whether marks say "not this";
 *   onMark(mark, picture) gets each finished mark and what it was drawn on; onHover(pixel or null)
 */
export class Pointing {
  #canvas;
  #view;
  #options;
  #stroke = null;
  #longPress = 0;

  constructor(canvas, view, options) {
    [this.#canvas, this.#view, this.#options] = [canvas, view, options];
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", (event) => this.#up(event));
    canvas.addEventListener("pointercancel", () => this.#cancel());
    canvas.addEventListener("pointerleave", () => this.#options.onHover(null));
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("blur", () => this.#showCross(null));
  }

  #down(event) {
    const pixel = this.#view.toPixel(event.clientX, event.clientY);
    if (!pixel || this.#stroke || (event.button !== 0 && event.button !== 2)) return;
    event.preventDefault();
    this.#canvas.focus({ preventScroll: true });
    this.#showCross(null);
    try {
      this.#canvas.setPointerCapture(event.pointerId);
    } catch { /* the finger has left already */ }
    // the mark belongs to the picture that was there when the finger came down
    this.#stroke = {
      pointer: event.pointerId,
      picture: this.#view.picture,
      negative: event.button === 2 || event.shiftKey || this.#options.negative(),
      from: pixel, at: [event.clientX, event.clientY], points: [pixel], moved: false,
    };
    if (event.pointerType === "touch") {
      const stroke = this.#stroke;
      this.#longPress = setTimeout(() => {
        if (this.#stroke !== stroke || stroke.moved) return;
        stroke.negative = true;
        navigator.vibrate?.(20);
        this.#finish();
      }, LONG_PRESS_MS);
    }
  }

  #move(event) {
    const pixel = this.#view.toPixel(event.clientX, event.clientY);
    this.#options.onHover(pixel);
    const stroke = this.#stroke;
    if (!stroke || stroke.pointer !== event.pointerId || !pixel) return;
    if (!stroke.moved && Math.hypot(event.clientX - stroke.at[0], event.clientY - stroke.at[1]) < DRAG_PX) return;
    stroke.moved = true;
    clearTimeout(this.#longPress);
    const last = stroke.points[stroke.points.length - 1];
    if (Math.hypot(pixel.x - last.x, pixel.y - last.y) >= 1) stroke.points.push(pixel);
    this.#view.draft = this.#shape(stroke);
    this.#view.redrawAbove();
  }

  #up(event) {
    if (this.#stroke?.pointer === event.pointerId) this.#finish();
  }

  #finish() {
    clearTimeout(this.#longPress);
    const stroke = this.#stroke;
    this.#stroke = null;
    this.#view.draft = null;
    this.#view.redrawAbove();
    const mark = stroke.moved ? this.#shape(stroke) : { kind: "click", ...stroke.from, negative: stroke.negative };
    if (mark.kind === "box" && (mark.x1 - mark.x0 < 2 || mark.y1 - mark.y0 < 2)) return;
    this.#options.onMark(mark, stroke.picture);
  }

  #cancel() {
    clearTimeout(this.#longPress);
    this.#stroke = null;
    this.#view.draft = null;
    this.#view.redrawAbove();
  }

  #shape({ points, negative }) {
    const [first, last] = [points[0], points[points.length - 1]];
    if (this.#options.tool() === "pen") {
      const width = Math.max(3, Math.round(this.#view.picture.width * PEN_PART));
      return { kind: "scribble", points, width, negative };
    }
    return {
      kind: "box", negative,
      x0: Math.min(first.x, last.x), y0: Math.min(first.y, last.y),
      x1: Math.max(first.x, last.x), y1: Math.max(first.y, last.y),
    };
  }

  #key(event) {
    const { picture } = this.#view;
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!picture || event.ctrlKey || event.metaKey || event.altKey) return;
    if (way) {
      const cross = this.#view.cross ?? { x: picture.width / 2, y: picture.height / 2 };
      const step = event.shiftKey ? 1 : STEP_PX;
      this.#showCross({
        x: Math.min(Math.max(cross.x + way[0] * step, 0), picture.width - 1),
        y: Math.min(Math.max(cross.y + way[1] * step, 0), picture.height - 1),
      });
      this.#options.onHover(this.#view.cross);
    } else if (event.key === "Enter" && this.#view.cross) {
      const negative = event.shiftKey || this.#options.negative();
      this.#options.onMark({ kind: "click", ...this.#view.cross, negative }, picture);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #showCross(cross) {
    this.#view.cross = cross;
    this.#view.redrawAbove();
  }
}
