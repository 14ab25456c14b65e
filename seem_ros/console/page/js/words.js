// SPDX-License-Identifier: Apache-2.0
// What is offered while typing: taught objects first, then the vocabulary.

import { byId, el } from "./dom.js";

const MOST = 300;

export class Words {
  #taught = [];
  #vocabulary = [];
  #shown = "";

  setTaught(names) {
    this.#taught = names;
    this.#show();
  }

  setVocabulary(names) {
    if (names.length) this.#vocabulary = names;
    this.#show();
  }

  #show() {
    const names = [...new Set([...this.#taught, ...this.#vocabulary])].slice(0, MOST);
    const key = names.join("\n");
    if (key === this.#shown) return; // a list that is rebuilt while it is open closes
    this.#shown = key;
    byId("names").replaceChildren(...names.map((name) => el("option", { value: name })));
  }
}
