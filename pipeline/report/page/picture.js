// Pictures drawn on a canvas, as sharp as the screen, drawn again when their size changes.

import { onKey } from "./parts.js";
import { element, labelled } from "./text.js";

export const INK = "#e8ebef"; // on the dark ground that pictures have in both themes, as videos do
export const FAINT = "#a0aab6";
export const GROUND = "#0b0d10";

/** Return a canvas of a shape (height over width), and what draws it again.
 *
 * `view` draws on it by `draw(context, width, height)`, and is told by `point(event)` where a pointer is, with null when it
 * has left; `actOf(event)` returns what a key does.
 */
export function picture(className, label, shape, view) {
  const canvas = labelled(element("canvas", className), label, "img");
  canvas.tabIndex = 0;
  canvas.style.aspectRatio = `1 / ${shape}`;
  const redraw = () => {
    const width = canvas.clientWidth;
    if (!width) return;
    const height = width * shape;
    const scale = devicePixelRatio || 1;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    const context = canvas.getContext("2d");
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.fillStyle = GROUND;
    context.fillRect(0, 0, width, height);
    view.draw(context, width, height);
  };
  canvas.addEventListener("pointermove", (event) => view.point(event));
  canvas.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && view.point(null));
  onKey(canvas, (event) => view.actOf(event));
  new ResizeObserver(redraw).observe(canvas);
  return { canvas, redraw };
}

/** Write on a picture, legibly on whatever is there. */
export function write(context, text, x, y, colour = INK) {
  context.lineWidth = 4;
  context.lineJoin = "round";
  context.strokeStyle = GROUND;
  context.strokeText(text, x, y);
  context.fillStyle = colour;
  context.fillText(text, x, y);
}
