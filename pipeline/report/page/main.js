// Which view is shown: the address after # says it, so that back and bookmarks work.

import { data, people } from "./data.js";
import { showDraw } from "./draw.js";
import { pauseVideos, showPerson } from "./person.js";
import { firstFound, mark, setCamera, setTimes, startList } from "./people.js";
import { showSite } from "./site.js";
import { byId, element } from "./text.js";

const VIEWS = ["people", "site", "quality", "draw"];
const LEVELS = { good: "Good", note: "Note", warn: "Look at this", bad: "Important" };
const isNarrow = matchMedia("(max-width: 900px)");

function go(hash) {
  if (location.hash === hash) show();
  else location.hash = hash;
}

function showQuality(target) {
  if (target.childElementCount) return;
  const list = element("ul", "findings");
  for (const { level, title, text, cure } of data.quality) {
    const item = element("li", "finding");
    item.dataset.level = level;
    const line = element("p", "line");
    line.append(element("h2", "", title), element("span", "state", LEVELS[level]));
    item.append(line, element("p", "", text));
    if (cure) {
      const what = element("p", "cure");
      what.append(element("strong", "", "What to do: "), ...withCode(cure));
      item.append(what);
    }
    list.append(item);
  }
  const where = data.about.device ? ` on ${data.about.device}` : "";
  const about = `Made by version ${data.about.version}${where}.`;
  target.append(list, element("p", "facts", about));
}

/** Words, with what stands between backticks as code. */
function withCode(text) {
  return text.split("`").map((part, at) => (at % 2 ? element("code", "", part) : part));
}

function show() {
  const [view, id] = location.hash.slice(1).split("/");
  const name = VIEWS.includes(view) ? view : VIEWS[0];
  for (const each of VIEWS) {
    byId(`${each}-view`).hidden = each !== name;
    const link = document.querySelector(`#views a[href="#${each}"]`);
    if (each === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.body.dataset.view = name;
  if (name !== "people") pauseVideos();
  if (name === "site") {
    showSite(byId("site-view"), (camera) => {
      setCamera(camera);
      go("#people");
    }, (times) => {
      setTimes(times);
      go("#people");
    });
  } else if (name === "quality") {
    showQuality(byId("quality-view"));
  } else if (name === "draw") {
    showDraw(byId("draw-view"));
  } else {
    showPeople(Number(id));
  }
}

function showPeople(id) {
  const person = people.get(id) ?? (isNarrow.matches ? null : firstFound());
  document.body.toggleAttribute("data-person", Boolean(person));
  if (!person) {
    byId("detail").hidden = true;
    mark(0);
    return;
  }
  mark(person.id);
  showPerson(person, () => go("#people"));
  if (isNarrow.matches) scrollTo(0, 0);
}

startList((person) => go(`#people/${person.id}`));
addEventListener("hashchange", show);
isNarrow.addEventListener("change", show);
show();
