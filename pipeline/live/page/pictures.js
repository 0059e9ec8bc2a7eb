// Shows the pictures of several cameras, which come on one connection: browsers open six at most.

import { serverNow } from "./clock.js";

const RETRY_MS = 1000;
const HEAD_BYTES = 4;

/** Joins what arrives, and cuts it into pictures. */
class Cutter {
  constructor() {
    this.waiting = new Uint8Array(0);
    this.head = null;
  }

  *add(bytes) {
    const joined = new Uint8Array(this.waiting.length + bytes.length);
    joined.set(this.waiting);
    joined.set(bytes, this.waiting.length);
    this.waiting = joined;
    for (;;) {
      if (this.head === null) {
        if (this.waiting.length < HEAD_BYTES) return;
        const view = new DataView(this.waiting.buffer, this.waiting.byteOffset);
        const n = view.getUint32(0);
        if (this.waiting.length < HEAD_BYTES + n) return;
        const text = new TextDecoder().decode(this.waiting.subarray(HEAD_BYTES, HEAD_BYTES + n));
        this.head = JSON.parse(text);
        this.waiting = this.waiting.subarray(HEAD_BYTES + n);
      }
      if (this.waiting.length < this.head.n_bytes) return;
      yield { ...this.head, jpeg: this.waiting.slice(0, this.head.n_bytes) };
      this.waiting = this.waiting.subarray(this.head.n_bytes);
      this.head = null;
    }
  }
}

/** Takes pictures from the server and gives them to `show(camera, blob)`. */
export class Pictures {
  constructor(show) {
    this.show = show;
    this.stopper = null;
    this.shownS = new Map();
  }

  /** Take pictures of one camera, or of all with "", at most so many a second of each. */
  watch(camera, perS) {
    this.stop();
    this.stopper = new AbortController();
    this.run(camera, perS, this.stopper.signal);
  }

  stop() {
    if (this.stopper) this.stopper.abort();
    this.stopper = null;
  }

  async run(camera, perS, signal) {
    const query = new URLSearchParams({ per_s: perS });
    if (camera) query.set("camera", camera);
    while (!signal.aborted) {
      try {
        const answer = await fetch(`/api/pictures?${query}`, { signal });
        if (answer.ok) await this.read(answer.body.getReader());
      } catch {
        // the page says elsewhere that there is no connection
      }
      if (!signal.aborted) await new Promise((done) => setTimeout(done, RETRY_MS));
    }
  }

  async read(reader) {
    const cutter = new Cutter();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      for (const picture of cutter.add(value)) {
        this.shownS.set(picture.camera, serverNow());
        this.show(picture.camera, new Blob([picture.jpeg], { type: "image/jpeg" }));
      }
    }
  }
}

/** Shows blobs in an img: the newest one when the one before is decoded. */
export class Screen {
  constructor(image) {
    this.image = image;
    this.next = null;
    this.url = "";
    this.isBusy = false;
    const done = () => this.loaded();
    image.addEventListener("load", done);
    image.addEventListener("error", done);
  }

  put(blob) {
    this.next = blob;
    if (!this.isBusy) this.load();
  }

  load() {
    this.isBusy = true;
    this.before = this.url;
    this.url = URL.createObjectURL(this.next);
    this.next = null;
    this.image.src = this.url;
  }

  loaded() {
    if (this.before) URL.revokeObjectURL(this.before);
    this.before = "";
    this.isBusy = false;
    if (this.next) this.load();
  }

  clear() {
    this.next = null;
    this.image.removeAttribute("src");
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = "";
    this.isBusy = false;
  }
}
