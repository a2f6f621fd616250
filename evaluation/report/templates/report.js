"use strict";
// Fills the lists of posts and opens the panel for a cell.
// Everything that comes from a post is put on the page as text, never as HTML.
(() => {
  const PAGE = 20;
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const { all, fields, rows } = read("cases");
  const routes = read("route-names");
  const cases = rows.map((row) => Object.fromEntries(row.map((value, place) => [fields[place], value])));
  const KIND = {
    leak: "leak", wrong_closing: "wrong closing", wrong_route: "wrong route", wrong_intent: "wrong intent", right: "right",
  };
  const percent = (share) => `${(100 * share).toFixed(1)} %`;

  function element(name, attributes = {}, ...children) {
    const made = Object.assign(document.createElement(name), attributes);
    made.append(...children.filter((child) => child !== null));
    return made;
  }

  function pair(name, truth, said) {
    const value = truth === said
      ? [truth]
      : [`${truth} → `, element("span", { className: "differs" }, said)];
    return [element("dt", {}, name), element("dd", {}, ...value)];
  }

  function postItem(post) {
    const known = [post.platform, post.lang];
    if (post.followers !== null) known.push(`${post.followers.toLocaleString("en")} followers`);
    if (post.reposts !== null) known.push(`${post.reposts.toLocaleString("en")} reposts`);
    if (post.bio) known.push(post.bio);
    const chances = element("dd", { className: "chances" }, ...routes.map((route, place) => {
      const text = `${route} ${percent(post.route_probabilities[place])}`;
      return route === post.predicted_route ? element("b", {}, text) : element("span", {}, text);
    }));
    const decision = `${post.action} (${post.queue})${post.abstained ? ", abstained" : ""}`;
    return element("li", { className: post.kind },
      element("div", { className: "post-top" },
        element("span", { className: "kind" }, KIND[post.kind]),
        element("span", {}, `${percent(post.confidence)} sure`),
        element("code", {}, post.id),
        element("span", {}, known.join(" · "))),
      post.in_reply_to ? element("p", { className: "reply" }, `in reply to: ${post.in_reply_to}`) : null,
      element("p", { className: "post-text" }, post.text),
      element("dl", { className: "verdict" },
        ...pair("route", post.true_route, post.predicted_route),
        element("dt", {}, "chances"), chances,
        ...pair("intent", post.true_intent, post.predicted_intent),
        element("dt", {}, "decision"), element("dd", {}, decision),
        element("dt", {}, "because"), element("dd", {}, post.reasons.join("; "))));
  }

  // A list that grows by a page at a time; `found` may be replaced by a shorter one.
  function pagedList(list, more) {
    let found = [], shown = 0;
    function grow() {
      const next = found.slice(shown, shown + PAGE);
      list.append(...next.map(postItem));
      shown += next.length;
      more.hidden = shown >= found.length;
      more.textContent = `Show ${Math.min(PAGE, found.length - shown)} more (${shown} of ${found.length})`;
    }
    more.addEventListener("click", () => {
      const first = list.children.length;
      grow();
      const item = list.children[first];
      if (item) { item.tabIndex = -1; item.focus({ preventScroll: true }); }
    });
    return (posts) => { found = posts; shown = 0; list.replaceChildren(); grow(); };
  }

  const byId = (id) => document.getElementById(id);
  const wrong = cases.filter((post) => post.kind !== "right");
  pagedList(byId("worst"), byId("worst-more"))(wrong);
  if (!wrong.length) byId("worst").append(element("li", {}, "No post has a wrong label and none was closed wrongly."));

  const panel = byId("panel"), search = byId("panel-search");
  const showInPanel = pagedList(byId("panel-posts"), byId("panel-more"));
  let inCell = [], total = 0;
  const haystack = new Map();
  function textOf(post) {
    if (!haystack.has(post)) {
      const parts = [post.id, post.text, post.in_reply_to, post.bio, post.true_intent, post.predicted_intent,
        post.true_route, post.predicted_route, post.action, post.platform, post.lang, ...post.reasons];
      haystack.set(post, parts.join("\n").toLowerCase());
    }
    return haystack.get(post);
  }
  function filter() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = inCell.filter((post) => words.every((word) => textOf(post).includes(word)));
    const held = inCell.length < total ? `; this page holds ${inCell.length} of them (${cases.length} of ${all} posts)` : "";
    const posts = `${total} ${total === 1 ? "post" : "posts"}`;
    byId("panel-count").textContent = words.length ? `${found.length} of ${posts} match${held}` : `${posts}${held}`;
    showInPanel(found);
    panel.scrollTop = 0;
  }
  search.addEventListener("input", filter);
  byId("panel-close").addEventListener("click", () => panel.close());
  panel.addEventListener("click", (event) => { if (event.target === panel) panel.close(); });

  document.addEventListener("click", (event) => {
    const cell = event.target.closest("button[data-where]");
    if (!cell) return;
    const where = Object.entries(JSON.parse(cell.dataset.where));
    inCell = cases.filter((post) => where.every(([field, value]) => post[field] === value));
    total = Number(cell.dataset.posts);
    byId("panel-title").textContent = cell.dataset.title;
    search.value = "";
    panel.showModal();
    filter();
    byId("panel-title").focus();
  });

  for (const matrix of document.querySelectorAll(".matrix")) {
    const name = matrix.id.replace("-matrix", "-share");
    for (const choice of document.getElementsByName(name)) {
      choice.addEventListener("change", () => { matrix.dataset.share = choice.value; });
    }
    // Arrow keys go to the next cell with posts in that direction.
    matrix.addEventListener("keydown", (event) => {
      const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
      const cell = event.target.closest("td");
      if (!step || !cell) return;
      event.preventDefault();
      let [row, column] = [cell.parentElement.rowIndex + step[0], cell.cellIndex + step[1]];
      while (matrix.rows[row]?.cells[column]) {
        const button = matrix.rows[row].cells[column].querySelector("button");
        if (button) { button.focus(); return; }
        row += step[0]; column += step[1];
      }
    });
  }
})();
