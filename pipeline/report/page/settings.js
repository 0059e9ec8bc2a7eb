// What was drawn as settings that the program reads.

import { data } from "./data.js";
import { matrixOf } from "./homography.js";

const NOT_IN_YAML = /[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g;

/** Text for YAML: a JSON string with all escaped that YAML would take for something else. */
function quoted(value) {
  return JSON.stringify(value).replace(NOT_IN_YAML, (each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** Return settings as YAML: all cameras, and what was drawn. */
export function settingsOf({ zones, floor }) {
  const lines = ["cameras:"];
  data.cameras.forEach((each, at) => {
    const matrix = matrixOf(floor[at])?.map((value) => Number(value.toPrecision(12)));
    const rows = matrix && { homography: [0, 3, 6].map((start) => matrix.slice(start, start + 3)) };
    const entries = Object.entries({ name: each.name, ...each.settings, ...rows });
    lines.push(...entries.map(([key, value], place) => `${place ? "    " : "  - "}${key}: ${quoted(value)}`));
  });
  lines.push(zones.length ? "zones:" : "zones: []");
  for (const zone of zones) {
    lines.push(`  - name: ${quoted(zone.name)}`);
    if (zone.camera >= 0) lines.push(`    camera: ${quoted(data.cameras[zone.camera].name)}`);
    lines.push(`    ${zone.isLine ? "line" : "polygon"}: ${quoted(zone.points)}`);
  }
  return `${lines.join("\n")}\n`;
}
