"use strict";
// Searches the posts that got worse: all words have to stand in what the page shows of a post.
(() => {
  const search = document.getElementById("flip-search");
  const items = [...document.querySelectorAll("#flip-list > li")];
  const texts = items.map((item) => item.textContent.toLowerCase());
  search.addEventListener("input", () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    items.forEach((item, place) => {
      item.hidden = !words.every((word) => texts[place].includes(word));
      shown += item.hidden ? 0 : 1;
    });
    document.getElementById("flip-count").textContent = words.length ? `${shown} of ${items.length} posts match` : `${items.length} posts`;
  });
})();
