// SPDX-License-Identifier: Apache-2.0
// Requests to the console.

async function answer(response) {
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(body.message || `the console answered ${response.status}`);
  return body;
}

function post(path, body) {
  return fetch(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) })
    .then(answer);
}

/** Call a service of a node; what the log keeps, and the answer. */
export const call = (node, service, request) => post("/api/call", { node, service, request });

export const readParameters = (node) =>
  fetch(`/api/parameters?node=${encodeURIComponent(node)}`).then(answer).then((body) => body.parameters);

export const setParameter = (node, name, type, value) => post("/api/parameter", { node, name, type, value });

/** Send a reference picture; its id and size. */
export const sendPicture = (blob) => fetch("/api/pictures", { method: "POST", body: blob }).then(answer);

/** The labels that are corrected here: the most doubtful pictures, or one of them. */
export const readLabels = (file = "") => fetch(`/api/labels${file && `?file=${encodeURIComponent(file)}`}`).then(answer);

/** What the node answers to marks on a labelled picture. */
export const askOutline = (node, file, object, prompt) => post("/api/labels/outline", { node, file, object, prompt });

export const saveLabel = (values) => post("/api/labels/correct", values);

/** Picture, masks, calls and settings as a file. */
export async function bundle(node, packed) {
  const response = await fetch(`/api/bundle?node=${encodeURIComponent(node)}`, { method: "POST", body: packed });
  if (!response.ok) throw new Error((await response.json().catch(() => ({}))).message || "nothing was saved");
  return response.blob();
}
