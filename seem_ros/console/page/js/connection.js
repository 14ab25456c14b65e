// SPDX-License-Identifier: Apache-2.0
// The socket to the console: reconnects by itself, acknowledges each picture once it is drawn.

const FIRST_WAIT_MS = 300;
const LONGEST_WAIT_MS = 5000;

export class Connection extends EventTarget {
  #socket = null;
  #waitMs = FIRST_WAIT_MS;
  #watching = null;
  #unshown = 0;

  constructor() {
    super();
    this.connected = false;
    // a page that nobody sees takes no pictures
    document.addEventListener("visibilitychange", () => this.#acknowledge());
    this.#open();
  }

  /** Ask for the pictures of a camera. */
  watch(node, camera) {
    this.#watching = { type: "watch", node, camera };
    this.#unshown = 0;
    this.#send(this.#watching);
  }

  /** A picture was drawn. */
  shown() {
    this.#unshown += 1;
    this.#acknowledge();
  }

  #acknowledge() {
    if (document.hidden) return;
    for (; this.#unshown > 0; this.#unshown -= 1) this.#send({ type: "shown" });
  }

  #open() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/socket`);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    socket.onopen = () => {
      this.connected = true;
      this.#waitMs = FIRST_WAIT_MS;
      this.#unshown = 0;
      this.#say("connected");
      if (this.#watching) this.#send(this.#watching);
    };
    socket.onmessage = (event) => {
      if (typeof event.data === "string") {
        const message = JSON.parse(event.data);
        this.#say(message.type, message);
      } else {
        this.#say("picture", event.data);
      }
    };
    socket.onclose = (event) => {
      this.connected = false;
      this.#say("disconnected", { code: event.code, reason: event.reason });
      setTimeout(() => this.#open(), this.#waitMs);
      this.#waitMs = Math.min(2 * this.#waitMs, LONGEST_WAIT_MS);
    };
  }

  #send(message) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #say(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
