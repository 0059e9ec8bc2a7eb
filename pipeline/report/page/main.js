// Which view is shown: the address after # says it, so that back and bookmarks work.

import { personOf } from "./answers.js";
import { countPeople, data, people, tracklet } from "./data.js";
import { showDraw } from "./draw.js";
import { note } from "./parts.js";
import { pauseVideos, showPerson, watchTracklet } from "./person.js";
import { chosenStay, firstFound, mark, readPeople, setCamera, setDoubtful, setTimes, startList } from "./people.js";
import { showReview, startReview } from "./review.js";
import { showSite } from "./site.js";
import { byId, element, setText } from "./text.js";

const VIEWS = { people: showPeople, review: showReview, site: showSiteView, quality: showQuality, draw: showDraw };
if (!data.is_correctable) delete VIEWS.review;
const LEVELS = { good: "Good", note: "Note", warn: "Look at this", bad: "Important" };
let shown = null;
const isNarrow = matchMedia("(max-width: 900px)");

function go(hash) {
  if (location.hash === hash) show();
  else location.hash = hash;
}

function showQuality(target) {
  if (target.childElementCount) return;
  const list = element("ul", "findings");
  for (const { level, title, text, cure } of data.quality) {
    const line = element("p", "line", element("h2", "", title), element("span", "state", LEVELS[level]));
    const what = cure && element("p", "cure", element("strong", "", "What to do: "), ...withCode(cure));
    const item = element("li", "finding", line, element("p", "", text), what);
    item.dataset.level = level;
    list.append(item);
  }
  const where = data.about.device ? ` on ${data.about.device}` : "";
  const about = `Made by version ${data.about.version}${where}.`;
  target.append(list, note(about));
}

/** Words, with what stands between backticks as code. */
function withCode(text) {
  return text.split("`").map((part, at) => (at % 2 ? element("code", "", part) : part));
}

function show() {
  const [view, id] = location.hash.slice(1).split("/");
  const name = Object.hasOwn(VIEWS, view) ? view : "people";
  for (const each of Object.keys(VIEWS)) {
    byId(`${each}-view`).hidden = each !== name;
    document.querySelector(`#views a[href="#${each}"]`).ariaCurrent = each === name ? "page" : null;
  }
  document.body.dataset.view = name;
  if (name !== "people") pauseVideos();
  VIEWS[name](byId(`${name}-view`), Number(id));
}

/** Return what applies a filter and shows the people. */
function filtered(filter) {
  return (value) => {
    filter(value);
    go("#people");
  };
}

function showSiteView(target) {
  showSite(target, filtered(setCamera), filtered(setTimes));
}

function showPeople(target, id) {
  const person = people.get(id) ?? (isNarrow.matches ? null : firstFound());
  document.body.toggleAttribute("data-person", Boolean(person));
  if (!person) {
    byId("detail").hidden = true;
    mark(0);
    return;
  }
  mark(person.id);
  shown = person;
  showPerson(person, () => go("#people"));
  const stay = chosenStay(person);
  if (stay) watchTracklet(stay);
  if (isNarrow.matches) scrollTo(0, 0);
}

function showCounts() {
  const nDoubtful = data.people.filter((person) => person.doubtful).length;
  setText(byId("n-people"), countPeople(data.people.length));
  byId("n-doubtful").hidden = !nDoubtful;
  setText(byId("n-doubtful"), `${nDoubtful} doubtful`);
}

/** Show the people again after an answer; whoever was shown stays, under their new number. */
function refresh() {
  const isCorrected = byId("detail").contains(document.activeElement);
  showCounts();
  readPeople();
  const person = shown && personOf(tracklet(shown.tracklets[0]).name);
  if (person && document.body.dataset.view === "people") history.replaceState(null, "", `#people/${person.id}`);
  show();
  if (isCorrected) byId("person-title")?.focus();
}

function watchPerson(each) {
  location.hash = `#people/${personOf(each.name).id}`;
  addEventListener("hashchange", () => watchTracklet(each), { once: true });
}

startReview(refresh, watchPerson);
startList((person) => go(`#people/${person.id}`));
byId("n-doubtful").addEventListener("click", filtered(setDoubtful));
showCounts();
addEventListener("hashchange", show);
isNarrow.addEventListener("change", show);
show();
