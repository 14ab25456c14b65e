// SPDX-License-Identifier: Apache-2.0
// What happens with a mark or with words: which target it is meant for, the call, and what to tell the user.

import { call, sendPicture } from "./api.js";
import { toast } from "./dom.js";
import { isPointing, promptOf, stampOf } from "./prompts.js";

// what the node answers when a picture has left its history
const FORGOTTEN = /there is no frame of stamp/;

/** Asks the watched node; remembers which target is refined, and which came last. */
export class Asking extends EventTarget {
  #place;
  #view;
  #listed = [];

  /** @param place gives {node, camera} @param view knows what is under a pixel */
  constructor(place, view) {
    super();
    [this.#place, this.#view] = [place, view];
    this.refining = 0;
    this.last = 0;
  }

  refine(id) {
    this.refining = id === this.refining ? 0 : id;
    this.#changed();
  }

  /** Targets that are gone are not refined any more; one that was just started need not be in the list yet. */
  keepOnly(ids) {
    const gone = this.#listed.filter((id) => !ids.includes(id));
    this.#listed = ids;
    this.#view.drop(gone, ids);
    if (gone.includes(this.last)) this.last = 0;
    if (!gone.includes(this.refining)) return;
    this.refining = 0;
    this.#changed();
  }

  /** One mark, drawn on the picture of a stamp. A refusal alone goes to the target that it lies on, else the last one. */
  async mark(mark, picture) {
    if (this.refining) return this.#refine(this.refining, [mark], "", picture);
    if (mark.negative) {
      const under = mark.kind === "click" ? this.#view.segmentAt(mark)?.id : 0;
      const id = under || this.last;
      if (!id) {
        toast("“Not this” corrects a target; there is none yet.", "bad");
        return null;
      }
      return this.#refine(id, [mark], "", picture);
    }
    const under = mark.kind === "click" ? this.#view.segmentAt(mark) : null;
    if (under?.id) {
      this.refine(under.id);
      return null;
    }
    return this.#start([mark], "", picture);
  }

  /** Marks and words together. */
  async compose(marks, text, picture) {
    if (this.refining) return this.#refine(this.refining, marks, text, picture);
    if (!isPointing(marks, text)) {
      toast("Mark at least one thing that is meant, or say it.", "bad");
      return null;
    }
    return this.#start(marks, text, picture);
  }

  /** Words alone; without a picture they are about now. */
  say = (text, picture) => this.#start([], text, picture);

  /** Something that looks like a part of a picture. */
  async reference(blob, marks) {
    const { picture } = await sendPicture(blob);
    const region = promptOf(marks);
    return this.#start([], "", null, { reference: { compressed_image: { picture }, ...region } });
  }

  async undo() {
    const id = this.refining || this.last;
    if (!id) return toast("There is no round to take back.", "bad");
    const done = await this.#call("undo", { target_id: id });
    if (done?.success) toast(`Target ${id}: the last round is taken back.`);
    return done;
  }

  async #start(marks, text, picture, prompt = promptOf(marks, text)) {
    const { camera } = this.#place();
    const base = { track: true, camera };
    let done = await this.#call("segment", { prompts: [prompt], ...base, ...atStamp(picture) }, FORGOTTEN);
    if (marks.length && picture && FORGOTTEN.test(done?.message)) {
      // The node has forgotten that picture: what is marked on it is looked for by its looks.
      const { picture: id } = await sendPicture(picture.jpeg);
      const reference = { compressed_image: { picture: id }, ...promptOf(scaled(marks, picture)) };
      done = await this.#call("segment", { prompts: [{ ...(text ? { text } : {}), reference }], ...base });
      if (done?.success) toast("The picture is too old to follow from; it was used as a reference instead.");
    }
    if (!done?.success) return done;
    const id = done.answer.target_ids[0];
    if (id) {
      this.last = id;
      this.#changed();
      toast(done.message || `Target ${id} is followed.`, "good");
    } else toast(done.message || "Nothing was found.", "bad");
    return done;
  }

  async #refine(id, marks, text, picture) {
    const prompt = promptOf(marks, text);
    const done = await this.#call("refine", { target_id: id, prompt, ...atStamp(picture) });
    if (done?.success) {
      this.last = id;
      if (done.message) toast(done.message);
      else if (done.answer.segment_index < 0) toast(`Target ${id} is not seen now.`);
    }
    return done;
  }

  async #call(service, request, quiet = null) {
    const { node } = this.#place();
    try {
      const done = await call(node, service, request);
      if (!done.success && !quiet?.test(done.message)) toast(done.message, "bad");
      return done;
    } catch (error) {
      toast(error.message, "bad");
      return null;
    }
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

const atStamp = (picture) => (picture && picture.stamp !== "0" ? { stamp: stampOf(picture.stamp) } : {});

// a picture may have been sent smaller than the camera took it, and a reference's marks are in its own pixels
function scaled(marks, picture) {
  const by = picture.sent.width / picture.width;
  if (by === 1) return marks;
  const point = ({ x, y }) => ({ x: x * by, y: y * by });
  return marks.map((mark) => ({
    ...mark, ...("x" in mark ? point(mark) : {}),
    ...(mark.points ? { points: mark.points.map(point), width: mark.width * by } : {}),
    ...("x0" in mark ? { x0: mark.x0 * by, y0: mark.y0 * by, x1: mark.x1 * by, y1: mark.y1 * by } : {}),
  }));
}
