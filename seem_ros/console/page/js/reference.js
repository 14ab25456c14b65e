// SPDX-License-Identifier: Apache-2.0
// The dialogue in which a part of a reference picture is marked: dropped, chosen, or the camera's own.

import { byId, toast } from "./dom.js";
import { NOT_THIS, THIS } from "./colours.js";

export class ReferenceDialogue {
  #dialogue = byId("reference");
  #canvas = byId("reference-picture");
  #bitmap = null;
  #blob = null;
  #from = null;
  #marks = [];
  #opened = 0;

  /** @param onFind gets the picture as a blob and the marks */
  constructor(onFind) {
    byId("reference-cancel").onclick = () => this.#dialogue.close();
    byId("reference-file").onchange = (event) => {
      if (event.target.files[0]) this.open(event.target.files[0]);
      event.target.value = "";
    };
    byId("reference-find").onclick = () => {
      this.#dialogue.close();
      onFind(this.#blob, this.#marks);
    };
    this.#canvas.onpointerdown = (event) => {
      this.#from = this.#pixel(event);
      this.#canvas.setPointerCapture(event.pointerId);
    };
    this.#canvas.onpointermove = (event) => {
      if (this.#from) this.#draw(boxOf(this.#from, this.#pixel(event)));
    };
    this.#canvas.onpointerup = (event) => {
      if (!this.#from) return;
      const box = boxOf(this.#from, this.#pixel(event));
      const small = Math.max(box.x1 - box.x0, box.y1 - box.y0) < this.#canvas.width / 60;
      this.#marks = [small ? { kind: "click", ...this.#from } : box];
      this.#from = null;
      byId("reference-find").disabled = false;
      this.#draw();
    };
  }

  /** Show a picture, a Blob. */
  async open(blob) {
    this.#opened += 1;
    const mine = this.#opened;
    try {
      const bitmap = await createImageBitmap(blob);
      if (mine !== this.#opened) return; // another picture was chosen meanwhile
      const scale = Math.min(1, 1280 / Math.max(bitmap.width, bitmap.height));
      [this.#canvas.width, this.#canvas.height] = [bitmap.width, bitmap.height].map((side) => Math.round(side * scale));
      this.#bitmap = bitmap;
      this.#draw();
      // drawn again as JPEG: small enough to send, upright, and without what a phone writes into its files
      const drawn = await new Promise((done) => this.#canvas.toBlob(done, "image/jpeg", 0.92));
      if (mine !== this.#opened) return;
      this.#blob = drawn;
    } catch {
      toast("That file is not a picture that can be read.", "bad");
      return;
    }
    this.#marks = [];
    byId("reference-find").disabled = true;
    if (!this.#dialogue.open) this.#dialogue.showModal();
  }

  #pixel(event) {
    const box = this.#canvas.getBoundingClientRect();
    return {
      x: Math.min(Math.max(((event.clientX - box.left) / box.width) * this.#canvas.width, 0), this.#canvas.width - 1),
      y: Math.min(Math.max(((event.clientY - box.top) / box.height) * this.#canvas.height, 0), this.#canvas.height - 1),
    };
  }

  #draw(draft = null) {
    const context = this.#canvas.getContext("2d");
    context.drawImage(this.#bitmap, 0, 0, this.#canvas.width, this.#canvas.height);
    const unit = this.#canvas.width / 300;
    for (const mark of draft ? [draft] : this.#marks) {
      for (const [colour, width] of [["#fff", 4], [mark.negative ? NOT_THIS : THIS, 2]]) {
        context.strokeStyle = colour;
        context.lineWidth = width * unit;
        context.beginPath();
        if (mark.kind === "click") context.arc(mark.x, mark.y, 5 * unit, 0, 2 * Math.PI);
        else context.rect(mark.x0, mark.y0, mark.x1 - mark.x0, mark.y1 - mark.y0);
        context.stroke();
      }
    }
  }
}

const boxOf = (one, other) => ({
  kind: "box",
  x0: Math.min(one.x, other.x), y0: Math.min(one.y, other.y),
  x1: Math.max(one.x, other.x), y1: Math.max(one.y, other.y),
});
