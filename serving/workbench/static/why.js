"use strict";
// The page Why: to the search, to the box for a try, to the form for a reading, and through the list, by single keys.
(() => {
  const targets = { "/": "q", t: "try-text", r: "r-route" };
  const links = () => [...document.querySelectorAll(".decisions a")];
  document.addEventListener("workbench:key", (event) => {
    const key = event.detail.key;
    const field = Object.hasOwn(targets, key) && document.getElementById(targets[key]);
    if (field) { event.detail.preventDefault(); field.focus(); return; }
    const step = { j: 1, k: -1 }[key], all = links();
    if (!step || !all.length) return;
    event.detail.preventDefault();
    const at = all.indexOf(document.activeElement);
    all[Math.max(0, Math.min(all.length - 1, at < 0 ? 0 : at + step))].focus();
  });
})();
