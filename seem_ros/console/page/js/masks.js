// SPDX-License-Identifier: Apache-2.0
// The label image as a coloured picture: painted run by run, with a border, a pattern and where to write the name.

import { colourOf, packColour, patternOf } from "./colours.js";

const FILL = 0.42;
const QUIET = 0.22;
const LOUD = 0.6;
const EDGE = 1.0;
// inside the border, so that it is seen on a thing of its own colour
const RIM = packColour("#ffffff", 0.6);

export class Masks {
  #canvas = document.createElement("canvas");
  #pixels = null;
  #labels = null;
  #width = 0;
  #height = 0;

  /** Take over a picture's label image. */
  load({ runs }) {
    if (!runs) return this.forget();
    this.#resize(runs.width, runs.height);
    return this.#spread(runs);
  }

  /** Paint the loaded label image; `lit` is the value that is pointed at, 0 = none. Returns the canvas, or null. */
  paint(picture, lit) {
    const { runs } = picture;
    this.places = new Map();
    if (!runs) return null;
    const out = new Uint32Array(this.#pixels.data.buffer);
    out.fill(0);
    const styles = new Map(picture.segments.map((segment) => [segment.value, style(segment, lit)]));
    let start = 0;
    for (let index = 0; index < runs.lengths.length; index += 1) {
      const value = runs.values[index];
      const end = start + runs.lengths[index];
      const drawn = value ? styles.get(value) : undefined;
      if (drawn) {
        this.#fill(out, start, end, value, drawn);
        this.#note(value, start, end);
      }
      start = end;
    }
    this.#canvas.getContext("2d").putImageData(this.#pixels, 0, 0);
    return this.#canvas;
  }

  /** The value under a pixel of the label image; 0 = nothing. */
  at(x, y) {
    const [column, row] = [Math.floor(x), Math.floor(y)];
    if (!this.#labels || column < 0 || row < 0 || column >= this.#width || row >= this.#height) return 0;
    return this.#labels[row * this.#width + column];
  }

  get width() { return this.#width; }
  get height() { return this.#height; }

  forget() {
    this.#labels = null;
    this.places = new Map();
  }

  #resize(width, height) {
    if (width === this.#width && height === this.#height && this.#labels) return;
    [this.#width, this.#height] = [width, height];
    this.#canvas.width = width;
    this.#canvas.height = height;
    this.#pixels = new ImageData(width, height);
    this.#labels = new Uint16Array(width * height);
  }

  #spread(runs) {
    let start = 0;
    for (let index = 0; index < runs.lengths.length; index += 1) {
      const end = start + runs.lengths[index];
      this.#labels.fill(runs.values[index], start, end);
      start = end;
    }
  }

  // beyond the picture nothing is read: undefined is another value too
  #fill(out, start, end, value, { plain, striped, edge, pattern }) {
    const [labels, width] = [this.#labels, this.#width];
    for (let at = start; at < end; at += 1) {
      if (at === start || at === end - 1 || labels[at - width] !== value || labels[at + width] !== value) out[at] = edge;
      else if (at === start + 1 || at === end - 2 || labels[at - 2 * width] !== value || labels[at + 2 * width] !== value) {
        out[at] = RIM;
      } else if (pattern) {
        const [x, y] = [at % width, Math.floor(at / width)];
        out[at] = ((pattern === 1 ? x + y : x - y + width) >> 2) & 1 ? striped : plain;
      } else out[at] = plain;
    }
  }

  // a name stands over the top of its segment
  #note(value, start, end) {
    const place = this.places.get(value);
    const x = (start % this.#width) + (end - start) / 2;
    if (!place) this.places.set(value, { x, top: Math.floor(start / this.#width) });
  }
}

function style(segment, lit) {
  const colour = colourOf(segment);
  const alpha = !lit ? FILL : segment.value === lit ? LOUD : QUIET;
  return {
    plain: packColour(colour, alpha),
    striped: packColour(colour, alpha / 3),
    edge: packColour(colour, EDGE),
    pattern: patternOf(segment),
  };
}
