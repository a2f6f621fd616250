"use strict";
// The confusion page: cells by arrow keys, the panel of posts, pictures as PNG.
(() => {
  const panel = document.getElementById("panel");
  document.addEventListener("htmx:afterSwap", (event) => {
    const part = event.detail.target.id === "panel-body" && event.detail.target.querySelector(".part");
    if (!part) return;
    document.getElementById("panel-title").textContent = part.dataset.title;
    document.getElementById("panel-count").textContent = part.dataset.count;
    if (!panel.open) panel.showModal();
    panel.scrollTop = 0;
    document.getElementById("panel-title").focus();
  });
  panel.addEventListener("click", (event) => { if (event.target === panel) panel.close(); });

  document.addEventListener("keydown", (event) => {
    const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
    const cell = event.target.closest(".matrix td");
    if (!step || !cell) return;
    event.preventDefault();
    const table = cell.closest("table");
    let [row, column] = [cell.parentElement.rowIndex + step[0], cell.cellIndex + step[1]];
    while (table.rows[row]?.cells[column]) {
      const button = table.rows[row].cells[column].querySelector("button");
      if (button) { button.focus(); return; }
      row += step[0]; column += step[1];
    }
  });

  // The server draws SVG; a browser can make a PNG of it without anybody else.
  async function save(link) {
    const answer = await fetch(link.href);
    if (!answer.ok) { window.workbench.say(`The picture was not made: the server answered ${answer.status}. Load the page again.`); return; }
    const picture = new Image();
    picture.src = URL.createObjectURL(new Blob([await answer.text()], { type: "image/svg+xml" }));
    await picture.decode();
    const canvas = Object.assign(document.createElement("canvas"), { width: picture.naturalWidth, height: picture.naturalHeight });
    canvas.getContext("2d").drawImage(picture, 0, 0);
    URL.revokeObjectURL(picture.src);
    const file = await new Promise((done) => canvas.toBlob(done, "image/png"));
    const out = Object.assign(document.createElement("a"), { href: URL.createObjectURL(file), download: link.dataset.png });
    out.click();
    URL.revokeObjectURL(out.href);
  }
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-png]");
    if (!link) return;
    event.preventDefault();
    save(link).catch(() => window.workbench.say("The picture was not made: the server cannot be reached. Try it again in a moment."));
  });
})();
