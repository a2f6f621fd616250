"use strict";
// Figures that come by themselves: one stream of events, each with the parts of the page that have changed.
(() => {
  const live = document.getElementById("live");
  const REOPEN_MS = 5000, SILENT_MS = 25_000; // the server says something every 10 s
  let stream = null, heard = 0, seen = "", why = "", over = "";

  const clock = (when) => when.toISOString().slice(11, 16);
  seen = clock(new Date());

  function say(words, isLive) {
    if (live.textContent === words) return;
    live.textContent = words;
    live.classList.toggle("on", isLive);
  }
  function lost() { say(`Not live since ${seen} UTC${why ? `: ${why}` : ""}`, false); }

  // What is open, chosen or focused stands outside of the parts, but for links: the same link keeps the focus.
  function put(name, html) {
    const place = document.getElementById(`part-${name}`);
    if (!place) return;
    const focused = place.contains(document.activeElement) && document.activeElement.getAttribute("href");
    place.innerHTML = html;
    if (focused) place.querySelector(`[href="${CSS.escape(focused)}"]`)?.focus();
  }

  function close() { stream?.close(); stream = null; }
  function open() {
    close();
    if (over || document.visibilityState === "hidden") return;
    heard = Date.now();
    stream = new EventSource(live.dataset.stream);
    stream.addEventListener("beat", () => { heard = Date.now(); });
    stream.addEventListener("round", (event) => {
      heard = Date.now();
      const round = JSON.parse(event.data);
      why = round.problem;
      if (why) { lost(); return; }
      for (const [name, html] of Object.entries(round.parts)) put(name, html);
      seen = clock(new Date(round.at));
      say(`Live, as of ${round.at.slice(11, 19)} UTC`, true);
    });
    stream.addEventListener("full", (event) => { why = JSON.parse(event.data); lost(); });
    stream.addEventListener("ended", (event) => { over = why = JSON.parse(event.data); close(); lost(); });
    stream.addEventListener("error", () => { if (!over) lost(); });
  }

  setInterval(() => {
    if (over || document.visibilityState === "hidden") return;
    const closed = !stream || stream.readyState === EventSource.CLOSED;
    if (closed || Date.now() - heard > SILENT_MS) { if (stream) lost(); open(); }
  }, REOPEN_MS);
  // A page that nobody sees holds no connection: a browser has six for all pages of a server.
  document.addEventListener("visibilitychange", () => { if (document.visibilityState === "hidden") close(); else open(); });
  open();
})();
