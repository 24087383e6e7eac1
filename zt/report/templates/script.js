"use strict";
(() => {
  const form = document.getElementById("filter");
  const find = document.getElementById("find");
  const team = document.getElementById("team");
  const attention = document.getElementById("attention");
  const shown = document.getElementById("shown");
  const rows = [...document.querySelectorAll("[data-row]")].map((element) => ({
    element,
    text: element.textContent.toLowerCase(),
    teams: element.dataset.team.split(" "),
    attention: "attention" in element.dataset,
  }));
  const cells = [...document.querySelectorAll("svg [data-caller]")];
  const labels = [...document.querySelectorAll("svg [data-name]")];
  const teamOf = new Map(
    [...document.querySelectorAll("[data-service]")].map((card) => [card.dataset.service, card.dataset.team]),
  );

  // The graph keeps its shape: what neither matches nor is joined to what does steps back.
  function dim(words) {
    const active = words.length > 0 || team.value !== "";
    const meant = (name) =>
      words.every((word) => name.includes(word)) && (!team.value || teamOf.get(name) === team.value);
    const near = new Set();
    for (const cell of cells) {
      const { caller, callee } = cell.dataset;
      const matches = meant(caller) || meant(callee);
      cell.classList.toggle("dim", active && !matches);
      if (matches) near.add(caller).add(callee);
    }
    for (const label of labels) {
      const { name } = label.dataset;
      label.classList.toggle("dim", active && !meant(name) && !near.has(name));
    }
  }

  function filter() {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    const active = words.length > 0 || team.value !== "" || attention.checked;
    let count = 0;
    for (const row of rows) {
      const matches =
        words.every((word) => row.text.includes(word)) &&
        (!team.value || row.teams.includes(team.value)) &&
        (!attention.checked || row.attention);
      row.element.hidden = !matches;
      count += matches;
    }
    for (const note of document.querySelectorAll("tr.nothing")) {
      note.hidden = note.parentElement.querySelector("[data-row]:not([hidden])") !== null;
    }
    dim(words);
    shown.textContent = active ? `${count} of ${rows.length} shown` : "";
    document.body.classList.toggle("filtered", active);
  }

  // A link to what the filter hides would lead nowhere.
  function reveal() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target === null) return;
    if (target.hidden) {
      form.reset();
      filter();
    }
    target.scrollIntoView();
    target.focus({ preventScroll: true });
  }

  form.hidden = false;
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(filter));
  window.addEventListener("hashchange", reveal);
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.target.matches("input, select") && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      find.focus();
      find.select();
    } else if (event.key === "Escape" && form.contains(event.target)) {
      form.reset();
    }
  });
  // A browser may bring back what was typed before a reload.
  filter();
})();
