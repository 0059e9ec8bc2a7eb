// What happened, newest first, as the server sends it.

import { clock } from "./clock.js";
import { byId, element } from "./text.js";

const SHOWN = 100;

const list = byId("event-list");

function cameraOf(event) {
  return (event.tracklet || "").split("/")[0];
}

/** An event in a few words. */
function words(event) {
  const person = `Person ${event.person_id}`;
  const place = cameraOf(event) ? ` in ${cameraOf(event)}` : "";
  switch (event.kind) {
    case "appeared": return `${person} is new${place}`;
    case "seen": return `${person}${place}`;
    case "merged": return `Person ${event.before} is person ${event.person_id}`;
    case "split": return `Person ${event.before} is person ${event.person_id}${place}`;
    case "rejoined": return `${person} goes on${place}`;
    case "forgotten": return `${person} has been away for long`;
    case "connected": return `${event.camera} is connected`;
    case "back": return `${event.camera} is back`;
    case "drops": return `${event.camera} drops frames`;
    case "resized": return `${event.camera}: its pictures have another size`;
    case "video_stopped": return `${event.camera}: no video is written`;
    case "video_resumed": return `${event.camera}: video is written again`;
    case "worker_lost": return `${event.camera}: its worker was lost`;
    case "worker_restarted": return `${event.camera}: its worker runs again`;
    case "clock": return `${event.camera}: its clock changed`;
    default: return [event.camera ?? person, event.kind].join(" is ");
  }
}

function row(event) {
  const item = element("li");
  item.dataset.kind = event.kind;
  const what = element("div");
  what.append(element("span", "what", words(event)));
  if (event.reason) {
    const why = element("span", "why", event.reason);
    why.title = event.reason;
    what.append(why);
  }
  item.append(element("time", "", clock(event.time_s)), what);
  return item;
}

/** Show events as they come, and those that the server still holds. */
export function follow() {
  const source = new EventSource("/events?after=-1");
  source.addEventListener("message", (message) => {
    list.prepend(row(JSON.parse(message.data)));
    while (list.children.length > SHOWN) list.lastChild.remove();
    byId("no-events").hidden = true;
  });
}
