// Asks the server each second how cameras and people are, and says when it does not answer.

import { clock, setServerTime } from "./clock.js";
import { byId, setText } from "./text.js";
import { pause, resume, showCameras } from "./cameras.js";
import { showPeople } from "./people.js";
import { follow } from "./events.js";

const PERIOD_MS = 1000;
const TIMEOUT_MS = 5000;

let answeredS = 0;

async function ask(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (answer.status === 401) location.reload();
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

async function update() {
  const [cameras, people] = await Promise.all([ask("/api/cameras"), ask("/api/people")]);
  setServerTime(cameras.now_s);
  answeredS = cameras.now_s;
  showCameras(cameras.cameras);
  showPeople(people.people);
}

function setOutage(isOut) {
  document.body.classList.toggle("is-out", isOut);
  const outage = byId("outage");
  outage.hidden = !isOut;
  if (!isOut) return;
  const since = answeredS ? ` since ${clock(answeredS)}, the time of what is shown` : "";
  setText(outage, `The tracker has not answered${since}.`);
  setText(byId("n-cameras"), "No answer");
  byId("n-cameras").dataset.level = "bad";
  byId("n-people").hidden = true;
}

async function loop() {
  for (;;) {
    if (!document.hidden) {
      try {
        await update();
        setOutage(false);
      } catch {
        setOutage(true);
      }
    }
    await new Promise((done) => setTimeout(done, PERIOD_MS));
  }
}

document.addEventListener("visibilitychange", () => (document.hidden ? pause() : resume()));

byId("reload").addEventListener("click", async () => {
  const said = byId("reloaded");
  byId("reload").disabled = true;
  said.value = "";
  try {
    const answer = await fetch("/reload", { method: "POST" });
    said.value = (await answer.json()).detail;
  } catch {
    said.value = "The tracker does not answer.";
  }
  byId("reload").disabled = false;
});

follow();
loop();
