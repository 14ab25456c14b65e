// SPDX-License-Identifier: Apache-2.0
// Colours that people tell apart however they see colours: Okabe and Ito's, without black. Beyond seven, stripes tell
// them apart, and the number is always written beside.

const PALETTE = ["#56b4e9", "#e69f00", "#009e73", "#f0e442", "#cc79a7", "#d55e00", "#0072b2"];

export const THIS = "#0072b2";
export const NOT_THIS = "#d55e00";

const chosen = new Map();

/** The colour of a target, or of a segment of the vocabulary (by its value). */
export function colourOf(segment) {
  const own = segment.id ? chosen.get(segment.id) : undefined;
  const number = segment.id || segment.value;
  return own ?? PALETTE[(number - 1) % PALETTE.length];
}

/** 0: plain, 1: stripes, 2: stripes the other way. */
export function patternOf(segment) {
  const number = segment.id || segment.value;
  return Math.floor((number - 1) / PALETTE.length) % 3;
}

/** Give a target another colour. */
export function chooseColour(id, colour) {
  chosen.set(id, colour);
}

/** A colour as the little-endian RGBA number of an ImageData seen as Uint32Array. */
export function packColour(colour, alpha) {
  const number = parseInt(colour.slice(1), 16);
  const [red, green, blue] = [number >> 16, (number >> 8) & 255, number & 255];
  return ((Math.round(255 * alpha) << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}
