"use strict";
// Draws every diagram of the page in its colours, by day and by night.
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  function draw() {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    for (const [name, figure] of Object.entries(figures)) {
      const axis = { gridcolor: colour("--line"), linecolor: colour("--line"), tickcolor: colour("--line") };
      const layout = structuredClone(figure.layout);
      Object.assign(layout, {
        paper_bgcolor: "transparent", plot_bgcolor: "transparent",
        font: { family: style.fontFamily, size: 13, color: colour("--text") },
        hoverlabel: { bgcolor: colour("--surface"), bordercolor: colour("--line"), font: { color: colour("--text") } },
      });
      Object.assign(layout.xaxis, axis);
      Object.assign(layout.yaxis, axis);
      Plotly.react(document.getElementById(`plot-${name}`), structuredClone(figure.data), layout, { displayModeBar: false, responsive: true });
    }
  }
  draw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
})();
