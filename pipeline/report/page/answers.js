// What a human said, and the people that follow: a preview until the corrections are applied.
//
// An answer is { kind, names, ids }. "same": the names are one person; "different": the first name is
// nobody of the others; "not_a_person"; "split": the first name is two people, and the second name
// is where the later one begins; "skip": a question that nobody can answer. The ids are the numbers
// of their people when it was given.

import { data, setPeople, strength, tracklet, triples } from "./data.js";

const ANSWERS = ["same", "different", "not_a_person", "split", "skip"];
const RUN = data.people; // as the run wrote them
const STORE = `people-tracker ${data.key}`;
const STAY_GAP_S = 10; // as in site.py
const BY_HAND = 3; // stronger than any link
const [FRAME, FIRST, LAST, CROP, STRETCHES, LAST_FRAME, N_ROWS] = [2, 3, 4, 6, 7, 8, 9];

/** All answers, in order. */
export const answers = [];
let indexed = null;
let moved = new Map(); // name: person, where answers changed somebody; null for nobody
let settled = null;
let canStore = true;

/** The answers that correct something. */
export function given() {
  return answers.filter(({ kind }) => kind !== "skip");
}

/** Return the track and the first frame that the name of a tracklet says. */
export function cutName(name) {
  const at = name.lastIndexOf("@");
  return [name.slice(0, at), Number(name.slice(at + 1))];
}

/** Person and tracklet of the run by name, and names by track, from when they are first needed. */
function index() {
  if (indexed) return indexed;
  const places = new Map();
  for (const person of RUN) {
    for (const entry of person.tracklets) places.set(tracklet(entry).name, { person, entry });
  }
  indexed = { places, tracks: Map.groupBy(places.keys(), (name) => cutName(name)[0]) };
  return indexed;
}

function lookUp(name) {
  return index().places.get(name);
}

/** The names of the later parts of tracklets that were split. */
function laterParts() {
  return answers.filter(({ kind }) => kind === "split").map(({ names }) => names[1]);
}

/** The tracklets that a name of the corrections stands for. */
function expand(name) {
  const isTracklet = lookUp(name) || laterParts().includes(name);
  return isTracklet ? [name] : (index().tracks.get(name) ?? []);
}

/** The tracklet that ends where a split begins the later one. */
function partBefore(later) {
  const [track, frame] = cutName(later);
  const parts = laterParts().filter((name) => cutName(name)[0] === track);
  const earlier = [...(index().tracks.get(track) ?? []), ...parts].filter((name) => cutName(name)[1] < frame);
  return earlier.reduce((latest, name) => (!latest || cutName(name)[1] > cutName(latest)[1] ? name : latest), "");
}

/** All corrections: those that were applied before, and the answers. */
function corrections() {
  const all = structuredClone(data.corrections);
  for (const { kind, names } of answers) {
    if (kind === "same") all.same.push(names);
    if (kind === "different") all.different.push(...names.slice(1).map((other) => [names[0], other]));
    if (kind === "not_a_person") all.not_a_person.push(names[0]);
    if (kind === "split") all.split.push(names[1]);
  }
  return all;
}

/** Groups that are joined: `root` is one for all of a group, `join` says whether it changed them. */
function unions() {
  const parent = new Map();
  const root = (node) => {
    let found = node;
    while (parent.has(found)) found = parent.get(found);
    return found;
  };
  const join = (a, b) => {
    const [one, other] = [root(a), root(b)];
    if (one !== other) parent.set(one, other);
    return one !== other;
  };
  return { root, join };
}

/** What the corrections say of pairs: people who are certainly one, or certainly two. */
function learn() {
  const { root, join } = unions();
  const { same, different, not_a_person: nobody, split } = corrections();
  const joined = [];
  for (const group of same) {
    const names = group.flatMap(expand);
    for (let at = 1; at < names.length; at += 1) joined.push([names[at - 1], names[at]]);
  }
  for (const [a, b] of joined) join(a, b);
  const apart = [];
  for (const group of different) {
    group.forEach((one, at) => {
      for (const other of group.slice(at + 1)) {
        for (const a of expand(one)) apart.push(...expand(other).map((b) => [a, b]));
      }
    });
  }
  for (const later of split) {
    const earlier = partBefore(later);
    if (earlier) apart.push([earlier, later]);
  }
  const gone = new Set(nobody.flatMap(expand));
  const isSound = !apart.some(([a, b]) => root(a) === root(b)) && !joined.some(([a, b]) => gone.has(a) !== gone.has(b));
  const keyOf = ([a, b]) => [root(a), root(b)].sort().join("\n");
  const roots = new Set(apart.map(keyOf));
  const isSame = (a, b) => root(a) === root(b);
  const isApart = (a, b) => roots.has(keyOf([a, b]));
  return { joined, apart, isSame, isApart, isSound };
}

/** Whether earlier answers settle if two tracklets are one person. */
export function isSettled(a, b) {
  if (moved.get(a) === null || moved.get(b) === null) return true;
  return settled.isSame(a, b) || settled.isApart(a, b);
}

/** Whether the question of two tracklets was skipped. */
export function isSkipped(a, b) {
  return answers.some(({ kind, names }) => kind === "skip" && names.includes(a) && names.includes(b));
}

/** Forget which questions were skipped. */
export function askAgain() {
  answers.splice(0, Infinity, ...given());
  change();
}

/** The person who has a tracklet now; nothing for one that is no person. */
export function personOf(name) {
  return moved.has(name) ? moved.get(name) : lookUp(name)?.person;
}

// Links as a graph, whose edges are [a, b, weight, ...], and whose nodes are names or numbers.

/** Where one comes to from a node: each node with the edge and the node before it. */
function walk(edges, from) {
  const near = new Map();
  const add = (a, b, edge) => {
    if (!near.has(a)) near.set(a, []);
    near.get(a).push([b, edge]);
  };
  for (const edge of edges) {
    add(edge[0], edge[1], edge);
    add(edge[1], edge[0], edge);
  }
  const reached = new Map([[from, null]]);
  const waiting = [from];
  while (waiting.length) {
    const node = waiting.pop();
    for (const [next, edge] of near.get(node) ?? []) {
      if (reached.has(next)) continue;
      reached.set(next, [node, edge]);
      waiting.push(next);
    }
  }
  return reached;
}

/** The edges without the weakest one between two nodes. */
function cut(edges, a, b) {
  const reached = walk(edges, a);
  let weakest = null;
  for (let step = reached.get(b); step; step = reached.get(step[0])) {
    if (!weakest || step[1][2] < weakest[2]) weakest = step[1];
  }
  return edges.filter((edge) => edge !== weakest);
}

/** The strongest edges that tie all nodes that are tied. */
function strongest(edges) {
  const { join } = unions();
  return edges.toSorted((a, b) => b[2] - a[2]).filter(([a, b]) => join(a, b));
}

/** Return the names of the tracklets of a person. */
export function namesOf(person) {
  return person.tracklets.map((entry) => tracklet(entry).name);
}

function edgesOf(person, nodes) {
  return person.links.map((link) => [nodes[link[0]], nodes[link[1]], strength(link), link]);
}

/** A link that no probability decides. */
function linkByRule(why) {
  return [0, 0, -1, "confirmed", why, "", 0, ""];
}

/** The tracklets on both sides of a question: of two people, or of one at the weakest link between. */
export function sides(a, b) {
  const [one, other] = [personOf(a), personOf(b)];
  if (one !== other) return [one.tracklets, other.tracklets];
  const names = namesOf(one);
  const reached = walk(cut(edgesOf(one, names), a, b), a);
  const here = one.tracklets.filter((_, at) => reached.has(names[at]));
  return [here, one.tracklets.filter((_, at) => !reached.has(names[at]))];
}

/** The frame that a tracklet shows at a time. */
export function frameAt(entry, timeS) {
  const share = (timeS - entry[FIRST]) / (entry[LAST] - entry[FIRST]);
  return Math.round(entry[FRAME] + share * (entry[LAST_FRAME] - entry[FRAME]));
}

/** Both parts of a tracklet that is cut at a frame, without pictures: either may have it. */
function cutEntry(entry, frame) {
  const share = (frame - entry[FRAME]) / (entry[LAST_FRAME] - entry[FRAME]);
  const timeS = entry[FIRST] + share * (entry[LAST] - entry[FIRST]);
  const before = [...entry];
  before[LAST] = timeS;
  before[LAST_FRAME] = frame - 1;
  before[N_ROWS] = Math.round(share * entry[N_ROWS]);
  const after = [...entry];
  after[FRAME] = frame;
  after[FIRST] = timeS;
  after[N_ROWS] = entry[N_ROWS] - before[N_ROWS];
  for (const part of [before, after]) {
    const stretches = triples(entry[STRETCHES]).filter(([from, to]) => to >= part[FIRST] && from <= part[LAST]);
    part[CROP] = -1;
    part[STRETCHES] = stretches.flatMap(([from, to, isFilled]) => [Math.max(from, part[FIRST]), Math.min(to, part[LAST]), isFilled]);
  }
  return [before, after];
}

/** Tracklets and links of some people, changed by the answers. */
class Graph {
  constructor(some) {
    this.nodes = new Map();
    this.edges = [];
    for (const person of some) {
      const names = namesOf(person);
      names.forEach((name, at) => this.nodes.set(name, { person, entry: person.tracklets[at] }));
      this.edges.push(...edgesOf(person, names));
    }
  }

  split(name, later) {
    const { person, entry } = this.nodes.get(name);
    const [earlier, after] = cutEntry(entry, cutName(later)[1]);
    this.nodes.set(name, { person, entry: earlier });
    this.nodes.set(later, { person, entry: after });
    const isLater = (other) => this.nodes.get(other).entry[FIRST] >= after[FIRST];
    this.edges = this.edges.map(([a, b, ...rest]) => {
      if (a === name && isLater(b)) return [later, b, ...rest];
      return b === name && isLater(a) ? [a, later, ...rest] : [a, b, ...rest];
    });
  }

  remove(name) {
    const isOf = ([a, b]) => a === name || b === name;
    const gone = this.edges.filter(isOf);
    const kept = this.edges.filter((edge) => !isOf(edge));
    const ends = gone.map(([a, b, weight]) => [a === name ? b : a, weight]);
    const link = linkByRule("both were linked to a tracklet that is not a person");
    for (let at = 1; at < ends.length; at += 1) {
      const [[a, one], [b, other]] = [ends[at - 1], ends[at]];
      kept.push([a, b, Math.min(one, other), link]);
    }
    this.edges = kept;
    this.nodes.delete(name);
  }

  solve() {
    const here = ([a, b]) => this.nodes.has(a) && this.nodes.has(b);
    const joined = settled.joined.filter(here).map(([a, b]) => [a, b, BY_HAND, linkByRule("you said so")]);
    this.edges = strongest([...this.edges, ...joined]);
    for (const [a, b] of settled.apart.filter(here)) this.edges = cut(this.edges, a, b);
  }

  /** Groups of names, by their beginning. */
  groups() {
    const left = new Set(this.nodes.keys());
    const found = [];
    for (const name of left) {
      const group = [...walk(this.edges, name).keys()];
      for (const each of group) left.delete(each);
      found.push(group.sort((a, b) => this.start(a) - this.start(b)));
    }
    return found.sort((a, b) => this.start(a[0]) - this.start(b[0]));
  }

  start(name) {
    return this.nodes.get(name).entry[FIRST];
  }
}

/** The numbers of groups: that of the person most of whose rows they have, or a new one. */
function numbersOf(groups, nodes) {
  const most = new Map();
  groups.forEach((group, at) => {
    const rows = new Map();
    for (const name of group) {
      const { person, entry } = nodes.get(name);
      rows.set(person.id, (rows.get(person.id) ?? 0) + entry[N_ROWS]);
    }
    for (const [id, n] of rows) if (n > (most.get(id)?.n ?? 0)) most.set(id, { at, n });
  });
  const ids = groups.map(() => 0);
  const ranked = [...most].sort(([a, one], [b, other]) => other.n - one.n || a - b);
  for (const [id, { at }] of ranked) ids[at] ||= id;
  let last = RUN.reduce((largest, { id }) => Math.max(largest, id), 0);
  return ids.map((id) => id || (last += 1));
}

function staysOf(entries) {
  const stays = [];
  const latest = new Map();
  for (const [camera, , , first, last] of entries) {
    const before = latest.get(camera);
    if (before && first - before[2] <= STAY_GAP_S) {
      before[2] = Math.max(before[2], last);
    } else {
      latest.set(camera, [camera, first, last]);
      stays.push(latest.get(camera));
    }
  }
  return stays;
}

function personFrom(names, id, { nodes, edges }) {
  const at = new Map(names.map((name, place) => [name, place]));
  const own = names.map((name) => nodes.get(name));
  const tracklets = own.map(({ entry }) => entry);
  const links = edges.filter(([a]) => at.has(a)).map(([a, b, , link]) => [at.get(a), at.get(b), ...link.slice(2)]);
  const before = new Set(own.map(({ person }) => person));
  const near = new Map([...before].flatMap((person) => person.near).map((each) => [each[0], each]));
  const crops = tracklets.map((entry) => entry[CROP]).filter((crop) => crop >= 0);
  return {
    id,
    doubtful: links.some((link) => link[7]),
    first: Math.min(...tracklets.map((entry) => entry[FIRST])),
    last: Math.max(...tracklets.map((entry) => entry[LAST])),
    route: staysOf(tracklets),
    tracklets,
    links,
    near: [...near.values()].filter(([other]) => other !== id),
    crop: crops.length ? Math.min(...crops) : -1,
    isPreview: true,
  };
}

function regroup() {
  moved = new Map();
  const said = given();
  const some = new Set(said.flatMap(({ names }) => names).map((name) => lookUp(name)?.person));
  some.delete(undefined);
  if (!some.size) return RUN;
  const graph = new Graph(some);
  for (const { kind, names } of said) {
    if (!graph.nodes.has(names[0])) continue;
    if (kind === "split") graph.split(...names);
    if (kind === "not_a_person") graph.remove(names[0]);
  }
  graph.solve();
  for (const name of [...some].flatMap(namesOf)) moved.set(name, null);
  const groups = graph.groups();
  const ids = numbersOf(groups, graph.nodes);
  const made = groups.map((names, at) => personFrom(names, ids[at], graph));
  groups.forEach((names, at) => names.forEach((name) => moved.set(name, made[at])));
  return [...RUN.filter((person) => !some.has(person)), ...made];
}

let listener = () => {};

/** Call back whenever the people change. */
export function onAnswers(callback) {
  listener = callback;
}

function change() {
  settled = learn();
  setPeople(regroup());
  try {
    localStorage.setItem(STORE, JSON.stringify(answers));
  } catch {
    canStore = false;
  }
  listener();
}

/** Add an answer, or return why it cannot be. */
export function answer(kind, ...names) {
  answers.push({ kind, names, ids: names.map((name) => personOf(name)?.id) });
  if (!learn().isSound) {
    answers.pop();
    return "This contradicts an earlier answer; undo that one first.";
  }
  change();
  return "";
}

/** Take back one answer, the last one if no place is given, or all, with what rests on them. */
export function undo(at = answers.length - 1, n = 1) {
  const taken = answers.splice(at, n);
  while (taken.length) {
    const { kind, names } = taken.pop();
    if (kind !== "split") continue;
    for (let place = answers.length - 1; place >= 0; place -= 1) {
      if (answers[place].names.includes(names[1])) taken.push(...answers.splice(place, 1));
    }
  }
  change();
}

/** Read the answers that an earlier visit left. */
export function restore() {
  try {
    const left = JSON.parse(localStorage.getItem(STORE) ?? "[]");
    answers.push(...left.filter(({ kind, names }) => ANSWERS.includes(kind) && names.every((name) => typeof name === "string")));
  } catch {
    canStore = false;
  }
  change();
}

/** Whether answers outlive this page. */
export function isStored() {
  return canStore;
}

/** The corrections as YAML. Names are quoted as in JSON, which is YAML too. */
export function yaml() {
  const lines = ["# Corrections of a run, made in its report."];
  for (const [kind, all] of Object.entries(corrections())) {
    if (!all.length) continue;
    lines.push(`${kind}:`, ...all.map((each) => `  - ${JSON.stringify(each)}`));
  }
  return `${lines.join("\n")}\n`;
}
