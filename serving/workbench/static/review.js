"use strict";
// Reading posts, one key a label. What was said goes into an outbox in this browser first and leaves it when the server
// has it, so a closed tab and a dead connection lose nothing; each entry has an id, so what is sent twice is kept once.
(() => {
  const byId = (id) => document.getElementById(id);
  const area = byId("reading"), title = byId("reading-title"), last = byId("last"), status = byId("outbox");
  const BOX = `signalbox-outbox:${area.dataset.reader}`;
  const FEW = 5, FIRST_MS = 1000, MOST_MS = 30000;
  let posts = [], current = null, route = null, asking = false, ended = false;
  const done = [];  // what was read on this page, for undo
  const seen = new Set();

  // Crockford's base 32: ten characters of time, sixteen of chance (a ULID).
  function newId() {
    const letters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let time = Date.now(), head = "";
    for (let n = 0; n < 10; n++) { head = letters[time % 32] + head; time = Math.floor(time / 32); }
    return head + Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => letters[byte % 32]).join("");
  }

  const waiting = () => JSON.parse(localStorage.getItem(BOX) ?? "[]");
  function keepWaiting(entries) {
    localStorage.setItem(BOX, JSON.stringify(entries));
    status.textContent = entries.length ? `${entries.length} ${entries.length === 1 ? "reading waits" : "readings wait"} in this browser for the server.` : "";
  }

  let sending = false, failures = 0, timer = null;
  async function send() {
    if (sending) return;
    sending = true;
    clearTimeout(timer);
    try {
      for (let entry = waiting()[0]; entry; entry = waiting()[0]) {
        const answer = await fetch(entry.to, {
          method: "POST",
          headers: { "X-CSRF-Token": window.workbench.token(), "HX-Request": "true" },
          body: new URLSearchParams(entry.form),
        });
        if (answer.status === 401) { window.workbench.say("You are signed out. What you read is kept in this browser: sign in again under the same name to send it."); return; }
        if (answer.status === 403) { window.workbench.say("This page is older than your session. What you read is kept in this browser: load the page again to send it."); return; }
        if (answer.status >= 500) throw new Error("later");
        keepWaiting(waiting().filter((other) => other.form.id !== entry.form.id || other.to !== entry.to));
        if (!answer.ok) { window.workbench.say(await answer.text()); continue; }
        told(entry, await answer.json());
        document.body.dispatchEvent(new CustomEvent("reading-kept"));
      }
      if (failures) window.workbench.say("");
      failures = 0;
      if (!current) more();
    } catch {
      failures += 1;
      window.workbench.say("The server cannot be reached. Read on: what you say is kept in this browser and sent as soon as it can be.");
      timer = setTimeout(send, Math.min(MOST_MS, FIRST_MS * 2 ** Math.min(failures, 6)) * (0.5 + Math.random() / 2));
    } finally {
      sending = false;
    }
  }
  addEventListener("online", send);

  function told(entry, answer) {
    if (!answer.model || entry.form.verdict !== "label") return;
    const same = answer.model.route === entry.form.route && answer.model.intent === entry.form.intent;
    last.textContent = `Kept: ${entry.form.route}, ${entry.form.intent}. The model ${same ? "said the same" : `said ${answer.model.route}, ${answer.model.intent}`} (${answer.model.action}).`;
    last.className = same ? "good" : "bad";
    last.append(" ", Object.assign(document.createElement("a"), { href: `/qa/why/${entry.form.prediction_id}`, textContent: "Why?" }));
  }

  function show() {
    route = null;
    current = posts[0] ?? null;
    byId("post").hidden = !current;
    for (const button of area.querySelectorAll("[data-route]")) button.setAttribute("aria-pressed", "false");
    for (const button of area.querySelectorAll("[data-intent]")) button.disabled = true;
    byId("undo").disabled = !done.length && !area.dataset.undoable;
    if (byId("original")) { byId("original").open = false; byId("original-id").textContent = ""; byId("reason").value = ""; }
    if (!current) {
      title.textContent = ended ? "Nothing left to read here" : "Loading …";
      return;
    }
    title.textContent = `${current.platform}, ${current.lang || "language unknown"}`;
    byId("post-about").textContent = `received ${new Date(current.received_at).toISOString().slice(0, 16).replace("T", " ")} UTC`;
    byId("post-text").textContent = current.text;
    byId("post-context").textContent = current.context;
  }

  async function more() {
    if (asking || ended || posts.length > FEW) return;
    asking = true;
    try {
      const answer = await fetch(`/qa/review/next?queue=${encodeURIComponent(area.dataset.queue)}`, { headers: { "HX-Request": "true" } });
      if (!answer.ok) throw new Error(await answer.text());
      const unsent = new Set(waiting().map((entry) => entry.form.prediction_id));
      const found = (await answer.json()).posts.filter((post) => !seen.has(post.prediction_id) && !unsent.has(post.prediction_id));
      for (const post of found) seen.add(post.prediction_id);
      posts.push(...found);
      ended = !found.length && !waiting().length;
    } catch {
      setTimeout(more, FIRST_MS * 5);
    } finally {
      asking = false;
    }
    if (!current) show();
  }

  function say(verdict, intent = "") {
    if (!current) return;
    const form = { id: newId(), prediction_id: current.prediction_id, verdict, route: verdict === "label" ? route : "", intent };
    done.push({ post: current, id: form.id });
    posts.shift();
    keepWaiting([...waiting(), { to: "/qa/review/readings", form }]);
    show();
    send();
    more();
  }

  async function undo() {
    if (route) { show(); return; }
    const before = done.pop();
    if (before) {
      keepWaiting([...waiting(), { to: "/qa/review/withdrawals", form: { id: before.id, prediction_id: before.post.prediction_id } }]);
      posts.unshift(before.post);
      last.textContent = "Taken back.";
      last.className = "";
      show();
      send();
      return;
    }
    if (!area.dataset.undoable || waiting().length) return;
    const answer = await fetch("/qa/review/withdrawals", { method: "POST", headers: { "X-CSRF-Token": window.workbench.token(), "HX-Request": "true" }, body: new URLSearchParams() });
    if (!answer.ok) { window.workbench.say(await answer.text()); return; }
    area.dataset.undoable = "";
    const { post } = await answer.json();
    if (post) { posts.unshift(post); seen.add(post.prediction_id); }
    last.textContent = "Taken back.";
    show();
  }

  // The guide opens where the label stands that is chosen, in focus or under the pointer.
  const guide = byId("guide");
  function lookUp(event) {
    const place = byId(event.target.closest("[data-guide]")?.dataset.guide);
    if (!place) return;
    for (const before of guide.querySelectorAll(".here")) before.classList.remove("here");
    place.classList.add("here");
    guide.scrollTop += place.getBoundingClientRect().top - guide.getBoundingClientRect().top;
  }
  for (const name of ["click", "focusin", "pointerover"]) area.addEventListener(name, lookUp);

  area.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.route) {
      route = button.dataset.route;
      for (const other of area.querySelectorAll("[data-route]")) other.setAttribute("aria-pressed", String(other === button));
      for (const other of area.querySelectorAll("[data-intent]")) other.disabled = false;
    } else if (button.dataset.intent) say("label", button.dataset.intent);
    else if (button.id === "cannot-tell") say("cannot_tell");
    else if (button.id === "skip") say("skip");
    else if (button.id === "undo") undo();
  });
  document.addEventListener("workbench:key", (event) => {
    const key = event.detail.key;
    const button = area.querySelector(`button[data-key="${CSS.escape(key)}"]:not([disabled])`);
    if (!button || (button.closest("#post") && !current)) return;
    event.detail.preventDefault();
    button.click();
  });

  byId("original")?.querySelector("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const form = new URLSearchParams({ reason: byId("reason").value, prediction_id: current.prediction_id });
    const answer = await fetch("/qa/review/unmaskings", { method: "POST", headers: { "X-CSRF-Token": window.workbench.token(), "HX-Request": "true" }, body: form });
    if (!answer.ok) { window.workbench.say(await answer.text()); return; }
    const { post_id: id } = await answer.json();
    byId("original-id").textContent = id ? `Its id where it came from: ${id}` : "Whoever sent it gave it no id, so the original cannot be found from here.";
  });

  keepWaiting(waiting());
  send().then(more);
})();
