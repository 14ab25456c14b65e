// SPDX-License-Identifier: Apache-2.0
// The panels at the side, one at a time.

const tabs = () => [...document.querySelectorAll(".tabs [role=tab]")];

export function showPanel(name) {
  for (const tab of tabs()) {
    const on = tab.id === `tab-${name}`;
    tab.ariaSelected = String(on);
    document.getElementById(tab.getAttribute("aria-controls")).hidden = !on;
  }
}

/** Let the tabs be clicked and walked by arrow keys; `onShow` is told which panel opened. */
export function watchTabs(onShow) {
  for (const tab of tabs()) {
    const name = tab.id.replace("tab-", "");
    tab.onclick = () => {
      showPanel(name);
      onShow(name);
    };
    tab.onkeydown = (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const all = tabs();
      const next = all[(all.indexOf(tab) + step + all.length) % all.length];
      next.focus();
      next.click();
    };
  }
}
