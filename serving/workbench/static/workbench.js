"use strict";
// What all pages share: the theme, the keys, and what is said when the server cannot be reached.
(() => {
  const byId = (id) => document.getElementById(id);

  const THEMES = { auto: ["◐", "as the system has them"], light: ["☀", "light"], dark: ["☾", "dark"] };
  const theme = byId("theme");
  function showTheme(name) {
    document.documentElement.dataset.theme = name;
    theme.textContent = THEMES[name][0];
    theme.setAttribute("aria-label", `Colours: ${THEMES[name][1]}`);
    theme.title = theme.getAttribute("aria-label");
  }
  showTheme(document.documentElement.dataset.theme in THEMES ? document.documentElement.dataset.theme : "auto");
  theme.addEventListener("click", () => {
    const names = Object.keys(THEMES);
    const next = names[(names.indexOf(document.documentElement.dataset.theme) + 1) % names.length];
    localStorage.setItem("signalbox-theme", next);
    showTheme(next);
  });

  // Single keys can be turned off (WCAG 2.1.4), and never act while somebody types.
  const keys = byId("keys"), keysOn = byId("keys-on");
  keysOn.checked = localStorage.getItem("signalbox-keys") !== "off";
  keysOn.addEventListener("change", () => localStorage.setItem("signalbox-keys", keysOn.checked ? "on" : "off"));
  byId("keys-open").addEventListener("click", () => keys.showModal());
  const types = (target) => target.closest("input:not([type=radio]):not([type=checkbox]):not([type=range]), textarea, select, [contenteditable]");
  let going = false;
  document.addEventListener("keydown", (event) => {
    if (!keysOn.checked || event.ctrlKey || event.metaKey || event.altKey || types(event.target)) return;
    if (document.querySelector("dialog:modal")) return;
    const link = going && document.querySelector(`[data-go="${CSS.escape(event.key)}"]`);
    going = event.key === "g";
    if (link) { event.preventDefault(); link.click(); return; }
    if (event.key === "?") { event.preventDefault(); keys.showModal(); return; }
    document.dispatchEvent(new CustomEvent("workbench:key", { detail: event }));
  });

  const trouble = byId("trouble");
  function say(words) { trouble.textContent = words; trouble.hidden = !words; }
  window.workbench = { say, token: () => JSON.parse(document.body.getAttribute("hx-headers") ?? "{}")["X-CSRF-Token"] };
  document.addEventListener("htmx:sendError", () => say("The server cannot be reached. What is on the page stays; try again in a moment."));
  document.addEventListener("htmx:responseError", (event) => {
    const answer = event.detail.xhr;
    const plain = (answer.getResponseHeader("content-type") ?? "").startsWith("text/plain");
    say(plain ? answer.responseText : `The server answered ${answer.status}. Load the page again.`);
  });
  document.addEventListener("htmx:afterOnLoad", (event) => { if (event.detail.successful !== false && event.detail.xhr.status < 400) say(""); });
})();
