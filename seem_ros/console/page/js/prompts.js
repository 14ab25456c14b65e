// SPDX-License-Identifier: Apache-2.0
// Marks and words become requests: a new target, or another round on one.

const round = (value) => Math.round(value * 10) / 10;
const pixel = ({ x, y }) => ({ x: round(x), y: round(y) });

/** The fields of a seem_ros/Prompt for marks and words. */
export function promptOf(marks, text = "") {
  const prompt = {};
  if (text) prompt.text = text;
  const add = (field, value) => (prompt[field] ??= []).push(value);
  for (const mark of marks) {
    const sign = mark.negative ? { negative: true } : {};
    if (mark.kind === "click") add("clicks", { ...pixel(mark), ...sign });
    else if (mark.kind === "scribble") {
      add("scribbles", { points: thinned(mark.points).map(pixel), width: mark.width, ...sign });
    } else if (mark.negative) {
      // a box can only be wanted; what is not wanted is an outline
      const { x0, y0, x1, y1 } = mark;
      add("polygons", { points: [[x0, y0], [x1, y0], [x1, y1], [x0, y1]].map(([x, y]) => pixel({ x, y })), ...sign });
    } else add("boxes", { x0: round(mark.x0), y0: round(mark.y0), x1: round(mark.x1), y1: round(mark.y1) });
  }
  return prompt;
}

/** A stamp as the message has it; "0" = now. */
export function stampOf(stamp) {
  const padded = stamp.padStart(10, "0");
  return { sec: Number(padded.slice(0, -9)), nanosec: Number(padded.slice(-9)) };
}

/** What points at something: a prompt of refusals alone cannot start a target. */
export const isPointing = (marks, text) => Boolean(text) || marks.some((mark) => !mark.negative);

// a stroke drawn slowly has more points than pixels
function thinned(points) {
  const most = 400;
  if (points.length <= most) return points;
  return Array.from({ length: most }, (_, index) => points[Math.round((index * (points.length - 1)) / (most - 1))]);
}
