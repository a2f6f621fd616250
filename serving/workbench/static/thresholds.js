"use strict";
// The threshold desk: each slider says its value, and what is proposed is what the sliders say.
(() => {
  document.addEventListener("input", (event) => {
    const out = event.target.type === "range" && document.getElementById(event.target.id.replace("s-", "o-"));
    if (out) out.textContent = `${Number(event.target.value).toFixed(1)} %`;
  });
  document.addEventListener("submit", (event) => {
    const sliders = event.target.dataset.with && document.getElementById(event.target.dataset.with);
    if (!sliders) return;
    const said = new FormData(sliders);
    for (const field of event.target.querySelectorAll("input[type=hidden]")) if (said.has(field.name)) field.value = said.get(field.name);
  });
})();
