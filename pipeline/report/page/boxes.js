// Where people are in the pictures: some rows of each tracklet, and straight lines between them. The
// rows follow the script in the page, as pipeline/report/boxes.py writes them: all times first.

import { bytesOf, stretchesOf } from "./data.js";
import { clamp } from "./parts.js";
import { byId } from "./text.js";

const ROW_BYTES = 12;
const PER_SECOND = 100;
const SCALE = 1 << 14; // of a side that is a share of the picture
const EDGE_S = 0.05; // a picture is shown until the next one comes
let kept = null;

function loadBoxes() {
  const source = byId("boxes");
  if (kept || !source) return kept;
  const { buffer } = bytesOf(source);
  const n = buffer.byteLength / ROW_BYTES;
  kept = { times: new Uint32Array(buffer, 0, n), sides: new Int16Array(buffer, 4 * n, 4 * n) };
  return kept;
}

/** The place of the last row that is not later than a time, among those from `first` to `end`. */
function lastUntil(times, time, first, end) {
  let low = first;
  let high = end - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (times[middle] <= time) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** Return the box of a tracklet at a time: `sides` in shares of the picture, and whether it was
 * filled in; null where there is none. */
export function boxAt(each, timeS) {
  const seen = stretchesOf(each).find(([from, to]) => timeS >= from - EDGE_S && timeS <= to + EDGE_S);
  if (!each.nBoxes || !seen || !loadBoxes()) return null;
  const { times, sides } = kept;
  const time = timeS * PER_SECOND;
  const end = each.box + each.nBoxes;
  const before = lastUntil(times, time, each.box, end);
  const after = Math.min(before + 1, end - 1);
  const step = times[after] - times[before];
  const share = step ? clamp((time - times[before]) / step, 0, 1) : 0;
  const sideAt = (side) => ((1 - share) * sides[4 * before + side] + share * sides[4 * after + side]) / SCALE;
  return { sides: [0, 1, 2, 3].map(sideAt), isFilled: Boolean(seen[2]) };
}
