// SPDX-License-Identifier: Apache-2.0
// The binary message of a picture taken apart; its layout is described in seem_ros/console/pictures/wire.py.

/** Header, label image as runs, and the decoded picture. */
export async function unpack(packed) {
  const headerLength = new DataView(packed).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(packed, 4, headerLength)));
  let at = 4 + headerLength;
  let runs = null;
  if (header.labels) {
    const [width, height, count] = header.labels;
    const lengths = new Uint32Array(packed, at, count);
    const values = new Uint16Array(packed, at + 4 * count, count);
    runs = { width, height, lengths, values };
    at += 4 * count + 4 * Math.ceil(count / 2);
  }
  const jpeg = new Blob([new Uint8Array(packed, at)], { type: "image/jpeg" });
  const bitmap = await createImageBitmap(jpeg);
  const [width, height] = header.source ?? [bitmap.width, bitmap.height];
  const sent = { width: bitmap.width, height: bitmap.height };
  return { ...header, width, height, sent, runs, jpeg, bitmap, packed, arrived: performance.now() };
}
