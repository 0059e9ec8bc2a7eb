// Random answers, after each of which nobody may be lost and every answer must be obeyed.
// It runs in one scope with the scripts of the page, without its views.

const [seed, nAnswers] = arguments;
let state = seed;
const chance = (n) => {
  state = (1103515245 * state + 12345) % 2147483648;
  return Math.floor((state / 2147483648) * n);
};
const broken = [];
const check = (isRight, what) => isRight || broken.push(`${what} after ${JSON.stringify(answers)}`);
const nameOf = (entry) => tracklet(entry).name;
const all = data.people.flatMap((person) => person.tracklets.map(nameOf));
const nRows = (some) => some.flatMap((each) => each.tracklets).reduce((sum, entry) => sum + entry[9], 0);
const before = JSON.stringify(data.people);
const allRows = nRows(data.people);
restore();
const said = { same: 0, different: 0, not_a_person: 0, split: 0 };
for (let n = 0; n < nAnswers; n += 1) {
  const kind = ["same", "different", "different", "not_a_person", "split"][chance(5)];
  const now = data.people.flatMap((person) => person.tracklets.map(nameOf));
  const names = [now[chance(now.length)], now[chance(now.length)]];
  if (kind === "same" || kind === "different") {
    if (names[0] === names[1] || names.some((name) => !personOf(name))) continue;
    if (!answer(kind, ...names)) said[kind] += 1;
  } else {
    const entry = personOf(names[0])?.tracklets.find((each) => nameOf(each) === names[0]);
    if (!entry) continue;
    const frame = frameAt(entry, entry[3] + 0.5 * (entry[4] - entry[3]));
    if (kind === "split" && !(frame > entry[2] && frame <= entry[8])) continue;
    const track = names[0].slice(0, names[0].lastIndexOf("@"));
    answer(kind, ...(kind === "split" ? [names[0], `${track}@${frame}`] : [names[0]]));
    said[kind] += 1;
  }
  if (chance(6) === 0) undo(chance(answers.length));
  const gone = new Set(answers.filter((each) => each.kind === "not_a_person").map((each) => each.names[0]));
  const cuts = answers.filter((each) => each.kind === "split");
  const later = cuts.map((each) => each.names[1]).filter((name) => !gone.has(name));
  const shown = data.people.flatMap((person) => person.tracklets.map(nameOf));
  for (const name of all) check(gone.has(name) ? !shown.includes(name) : shown.filter((each) => each === name).length === 1, name);
  for (const name of later) check(shown.includes(name), name);
  const known = new Set([...all, ...cuts.map((each) => each.names[1])]);
  for (const { names: told } of answers) check(told.every((name) => known.has(name)), "names");
  check(gone.size > 0 || nRows(data.people) === allRows, "rows");
  check(new Set(data.people.map((person) => person.id)).size === data.people.length, "ids");
  for (const person of data.people) {
    check(person.links.length === person.tracklets.length - 1, `links of ${person.id}`);
    check(person.tracklets.every((entry, at) => !at || person.tracklets[at - 1][3] <= entry[3]), "order");
  }
  for (const { kind: how, names: [a, b] } of answers) {
    if (how === "same" && !gone.has(a) && !gone.has(b)) check(personOf(a) === personOf(b), `${a} is ${b}`);
    if (how === "different" && !gone.has(a) && !gone.has(b)) check(personOf(a) !== personOf(b), `${a} is not ${b}`);
    const isParted = cuts.every((cut) => cut.names[0] !== a || cut.names[1] === b);
    if (how === "split" && isParted && !gone.has(a) && !gone.has(b)) check(personOf(a) !== personOf(b), `${a} is cut at ${b}`);
  }
}
undo(0, answers.length);
check(JSON.stringify(data.people) === before, "undo");
return [broken.slice(0, 3), said];
