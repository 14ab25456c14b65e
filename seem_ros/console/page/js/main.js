// SPDX-License-Identifier: Apache-2.0
// Brings the parts together: connection, picture, pointing, asking, panels, keys.

import { bundle, call } from "./api.js";
import { Asking } from "./asking.js";
import { Connection } from "./connection.js";
import { byId, el, isPressed, press, toast } from "./dom.js";
import { LabelDesk } from "./labels.js";
import { addCall } from "./panels/calls.js";
import { showHealth } from "./panels/health.js";
import { showObjects } from "./panels/objects.js";
import { SettingsPanel } from "./panels/settings.js";
import { TargetsPanel } from "./panels/targets.js";
import { Pointing } from "./pointing.js";
import { ReferenceDialogue } from "./reference.js";
import { showPanel, watchTabs } from "./tabs.js";
import { unpack } from "./unpack.js";
import { View } from "./view.js";
import { Words } from "./words.js";

const OLD_MS = 1500;
const NEXT_DIGIT_MS = 1000; // digits that follow each other faster are one number

const connection = new Connection();
const view = new View();
const words = new Words();
const state = { nodes: [], node: "", camera: "", tool: "point", frozen: null, pending: [], newest: null, targets: [] };

const current = () => state.nodes.find((node) => node.name === state.node);
const offers = (service) => Boolean(current()?.services.includes(service));
const asking = new Asking(() => ({ node: state.node, camera: state.camera }), view);
new LabelDesk(() => state.node).load();
const settings = new SettingsPanel((things, stuff) => words.setVocabulary([...things, ...stuff]));

// ------------------------------------------------------------------------------------------------- picture


let decoding = Promise.resolve();
connection.addEventListener("picture", ({ detail: packed }) => {
  decoding = decoding.then(async () => {
    try {
      const picture = await unpack(packed);
      if (picture.camera !== state.camera) return;
      // the same picture once more, with other masks: it is as old as it was
      if (picture.stamp !== "0" && state.newest?.stamp === picture.stamp) picture.arrived = state.newest.arrived;
      state.newest = picture;
      if (!state.frozen) view.show(picture);
      byId("stage").dataset.stamp = picture.stamp;
      byId("stage").dataset.shown = view.picture.stamp;
      cover();
    } catch (error) {
      console.warn("a picture could not be shown", error);
    } finally {
      connection.shown();
    }
  });
});

function freeze(on) {
  state.frozen = on ? view.picture : null;
  press(byId("freeze"), Boolean(state.frozen));
  byId("stage").classList.toggle("frozen", Boolean(state.frozen));
  if (!state.frozen && state.newest && state.newest !== view.picture) view.show(state.newest);
  if (!state.frozen && state.pending.length) setPending([]);
  cover();
}

/** Milliseconds since the newest picture came. */
const age = () => (state.newest ? performance.now() - state.newest.arrived : Infinity);

/** Words are about now; where the camera stands still, as of a bag that is paused, about what it showed last. */
const say = (text) => asking.say(text, age() > OLD_MS ? state.newest : null);

/** What lies over the picture: why there is none, or how old it is. */
function cover() {
  const node = current();
  let text = "";
  if (!connection.connected) text = "The console is not there. Trying again…";
  else if (!state.nodes.length) text = "Looking for a segmentation node…";
  else if (!node) text = `The node ${state.node} went away. Waiting for it…`;
  else if (!node.active) text = `The node ${node.name} is not active (yet).`;
  else if (!state.newest) text = "Waiting for the first picture…";
  byId("cover").textContent = text;
  byId("cover").hidden = !text;
  const old = !text && age() > OLD_MS;
  byId("age").hidden = !old && !state.frozen;
  byId("age").textContent = state.frozen ? "Frozen" : `No picture for ${(age() / 1000).toFixed(0)} s`;
  byId("age").classList.toggle("still", Boolean(state.frozen));
  byId("status").textContent = connection.connected ? state.node : "not connected";
  byId("status").className = `status ${connection.connected && node?.active && !old ? "good" : "bad"}`;
}
setInterval(cover, 500);

// ------------------------------------------------------------------------------------------------- cameras

connection.addEventListener("graph", ({ detail }) => {
  const before = current();
  state.nodes = detail.nodes;
  const choices = state.nodes.flatMap((node) => node.cameras.map((camera) => ({ node: node.name, camera: camera.name })));
  const several = state.nodes.length > 1;
  byId("cameras").replaceChildren(...choices.map(({ node, camera }) => {
    const tab = el("button", { role: "tab" }, several ? `${node} ${camera}` : camera);
    tab.ariaSelected = String(node === state.node && camera === state.camera);
    tab.onclick = () => watch(node, camera);
    return tab;
  }));
  byId("cameras").hidden = choices.length < 2;
  const still = choices.some(({ node, camera }) => node === state.node && camera === state.camera);
  if (!still && choices.length && (!state.node || !before || !current())) watch(choices[0].node, choices[0].camera);
  else if (current()?.active && !before?.active && state.camera) entered();
  cover();
});

function watch(node, camera) {
  Object.assign(state, { node, camera, newest: null, targets: [] });
  freeze(false);
  view.clear();
  targets.clear();
  connection.watch(node, camera);
  for (const tab of byId("cameras").children) {
    tab.ariaSelected = String(tab.textContent === camera || tab.textContent === `${node} ${camera}`);
  }
  entered();
}

/** The watched node is there (again): its settings and objects may be others now. */
function entered() {
  byId("undo").hidden = !offers("undo");
  settings.load(state.node);
  loadObjects();
  cover();
}

connection.addEventListener("connected", cover);
connection.addEventListener("disconnected", ({ detail }) => {
  if (detail.reason) toast(detail.reason, "bad");
  cover();
});
connection.addEventListener("diagnostics", ({ detail }) => {
  showHealth(detail);
  const model = detail.statuses.find((status) => status.name.endsWith(": model"));
  const list = (text) => (text ? text.split(", ") : []);
  if (model?.values.things) words.setVocabulary([...list(model.values.things), ...list(model.values.stuff)]);
});
connection.addEventListener("call", ({ detail }) => addCall(detail.entry));
connection.addEventListener("notice", ({ detail }) => toast(detail.message, "bad"));

// ------------------------------------------------------------------------------------------------- targets

async function ask(service, request) {
  try {
    const done = await call(state.node, service, request);
    if (!done.success) toast(done.message, "bad");
    return done;
  } catch (error) {
    toast(error.message, "bad");
    return null;
  }
}

const targets = new TargetsPanel({
  offers,
  refine: (id) => asking.refine(id),
  remove: (id) => ask("remove_targets", { target_ids: [id] }),
  rename: (id, label) => ask("rename", { target_id: id, label }),
  teach: async (id, label) => {
    const name = window.prompt("By which name shall it be remembered?", label);
    if (!name) return;
    const done = await ask("teach", { name, target_id: id });
    if (done?.success) toast(`“${name}” is remembered.`, "good");
    loadObjects();
  },
  light: (value) => view.light(value),
  recolour: () => view.redraw(),
});

connection.addEventListener("targets", ({ detail }) => {
  if (detail.camera !== undefined && detail.node !== state.node) return;
  state.targets = detail.targets;
  asking.keepOnly(detail.targets.map((target) => target.target_id));
  targets.update(detail.targets, state.newest);
  targets.select(asking.refining);
});

asking.addEventListener("change", () => {
  targets.select(asking.refining);
  const target = state.targets.find((one) => one.target_id === asking.refining);
  byId("refining").hidden = !target;
  if (!target) return;
  const done = el("button", {}, "Done");
  done.onclick = () => asking.refine(asking.refining);
  byId("refining").replaceChildren(`Marks correct ${target.target_id} ${target.label}`, done);
});

byId("remove-all").onclick = () => ask("remove_targets", { all: true, camera: state.camera });

async function loadObjects() {
  if (!offers("objects")) {
    showObjects([], {});
    words.setTaught([]);
    return;
  }
  const done = await ask("objects", {});
  const objects = done?.answer?.objects ?? [];
  words.setTaught(objects.map((object) => object.name));
  showObjects(objects, {
    find: (name) => say(name),
    forget: async (name) => {
      await ask("forget", { name });
      loadObjects();
    },
  });
}

// ---------------------------------------------------------------------------------------- marks and words

async function onMark(mark, picture) {
  const finish = view.mark(mark);
  if (isPressed(byId("collect"))) {
    setPending([...state.pending, { mark, finish, picture }]);
    return;
  }
  await asking.mark(mark, picture);
  finish();
}

/** Whether a call started or corrected a target; where nothing was found, words and marks stay to be changed. */
const isFound = (done) => Boolean(done?.success && (done.answer.target_id || done.answer.target_ids?.[0]));

function setPending(pending) {
  for (const { finish } of state.pending.filter((one) => !pending.includes(one))) finish();
  state.pending = pending;
  const count = pending.length;
  byId("pending").hidden = !isPressed(byId("collect"));
  const clear = el("button", { className: "quiet", disabled: !count }, "Clear");
  clear.onclick = () => setPending([]);
  byId("pending").replaceChildren(
    count ? `${count} mark${count > 1 ? "s" : ""} gathered; press Find to ask with all of them.`
      : "Mark what is meant; the picture is held still.", clear);
}

function collect(on) {
  press(byId("collect"), on);
  if (on) freeze(true);
  setPending([]);
  if (!on) freeze(false);
}

byId("words").onsubmit = async (event) => {
  event.preventDefault();
  const text = byId("text").value.trim();
  if (!isPressed(byId("collect"))) {
    if (!text) return;
    if (isFound(await say(text))) byId("text").value = "";
    return;
  }
  if (!text && !state.pending.length) return;
  const picture = state.pending.length ? state.pending[0].picture : null;
  const done = await asking.compose(state.pending.map((one) => one.mark), text, picture);
  if (!isFound(done)) return;
  byId("text").value = "";
  collect(false);
};

new Pointing(byId("marks"), view, {
  tool: () => state.tool,
  negative: () => isPressed(byId("negative")),
  onMark,
  onHover: (pixel) => view.hover(pixel),
});

const reference = new ReferenceDialogue((blob, marks) => asking.reference(blob, marks).catch((error) => toast(error.message, "bad")));
byId("show-reference").onclick = () => (view.picture ? reference.open(view.picture.jpeg) : toast("There is no picture yet.", "bad"));
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  const file = event.dataTransfer.files[0];
  if (file) reference.open(file);
});

// ------------------------------------------------------------------------------------------------- tools

function choose(tool) {
  state.tool = tool;
  for (const name of ["point", "pen"]) byId(`tool-${name}`).ariaChecked = String(name === tool);
}
byId("tool-point").onclick = () => choose("point");
byId("tool-pen").onclick = () => choose("pen");
byId("negative").onclick = () => press(byId("negative"), !isPressed(byId("negative")));
byId("collect").onclick = () => collect(!isPressed(byId("collect")));
byId("freeze").onclick = () => freeze(!state.frozen);
byId("undo").onclick = () => asking.undo();
byId("save").onclick = save;

async function save() {
  if (!view.picture) return toast("There is no picture yet.", "bad");
  try {
    const file = await bundle(state.node, view.picture.packed);
    const url = URL.createObjectURL(file);
    const when = new Date().toISOString().slice(0, 19).replaceAll(":", "-");
    el("a", { href: url, download: `seem-${state.camera}-${when}.zip` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
  } catch (error) {
    toast(error.message, "bad");
  }
  return null;
}

watchTabs((panel) => {
  if (panel === "settings" && state.node) settings.load(state.node);
});

const KEYS = {
  " ": () => freeze(!state.frozen),
  p: () => choose("point"),
  d: () => choose("pen"),
  n: () => byId("negative").click(),
  c: () => byId("collect").click(),
  r: () => byId("show-reference").click(),
  s: save,
  t: () => showPanel("targets"),
  "/": () => byId("text").focus(),
  Escape: () => (asking.refining ? asking.refine(asking.refining) : setPending([])),
  Delete: () => (asking.refining || asking.last) && ask("remove_targets", { target_ids: [asking.refining || asking.last] }),
};

const typed = { digits: "", at: -Infinity };

/** The target of a number, typed digit by digit: 1 chooses target 1, and 12 then target 12. */
function chooseByDigit(digit) {
  const now = performance.now();
  typed.digits = now - typed.at < NEXT_DIGIT_MS ? typed.digits + digit : digit;
  typed.at = now;
  const id = [typed.digits, digit].map(Number).find((one) => targets.ids.includes(one));
  if (id) asking.refine(id);
}

document.addEventListener("keydown", (event) => {
  // keys are about the camera's picture: not while one types, and not behind a dialogue
  if (event.target.matches("input, textarea, select") || document.querySelector("dialog[open]")) return;
  if ((event.ctrlKey || event.metaKey) && event.key === "z") {
    event.preventDefault();
    asking.undo();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (/^\d$/.test(event.key)) chooseByDigit(event.key);
  const action = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!action || (event.key === " " && event.target.matches("button"))) return;
  event.preventDefault();
  action();
});
cover();
