"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const one = (selector, root = document) => root.querySelector(selector);
  const sections = all("main > section[id^=part]");

  // --- what is packed, unpacked once, when it is asked for -----------------------------------------------------------

  const parts = new Map();
  const unpack = async (id) => {
    const bytes = Uint8Array.from(atob(one(`#${id}`).textContent), (sign) => sign.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  };
  const unpacked = (id) => {
    if (!parts.has(id)) parts.set(id, unpack(id));
    return parts.get(id);
  };

  // --- one table at a time ---------------------------------------------------------------------------------------

  const show = (id) => {
    for (const section of sections) section.hidden = section.id !== id;
    for (const button of all("nav button")) button.setAttribute("aria-pressed", String(button.dataset.part === id));
    look();
  };
  for (const button of all("nav button")) {
    button.addEventListener("click", () => {
      history.replaceState(null, "", `#${button.dataset.part}`);
      show(button.dataset.part);
    });
  }

  // --- sorting: by what is shown ---------------------------------------------------------------------------------

  const valueOf = (row, column) => {
    const cell = row.cells[column];
    const text = cell.textContent.trim();
    if (cell.dataset.v !== undefined) return Number(cell.dataset.v);
    return text === "" || text === "-" ? null : text;
  };
  const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
  for (const table of all("table.grid")) {
    const body = table.tBodies[0];
    const rows = [...body.rows];
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      one("button", head).addEventListener("click", () => {
        // Numbers begin with the largest, words with A; the third press gives the report's order back.
        const ways = head.classList.contains("right") ? ["descending", "ascending"] : ["ascending", "descending"];
        const next = [...ways, "none"][(["none", ...ways].indexOf(head.getAttribute("aria-sort"))) % 3];
        for (const other of heads) other.setAttribute("aria-sort", other === head ? next : "none");
        const found = rows.map((row) => ({ row, value: valueOf(row, column) }));
        if (next !== "none") {
          const sign = next === "ascending" ? 1 : -1;
          // What has no value stays at the end, whichever way.
          found.sort((a, b) => (a.value === null) - (b.value === null) || (a.value === null ? 0 : sign * compare(a.value, b.value)));
        }
        body.append(...found.map(({ row }) => row));
      });
    });
  }

  // --- filters and columns ---------------------------------------------------------------------------------------

  const views = new Map();
  const visible = (section) =>
    new Set(all("table.grid:not(.runs) tbody tr", section).filter((row) => !row.hidden).map((row) => row.dataset.strategy));
  const filterPicture = (name, section) => {
    const kept = visible(section);
    const { view, datasets } = views.get(name);
    for (const [data, rows] of Object.entries(datasets)) {
      if (rows.length && "strategy" in rows[0]) view.data(data, rows.filter((row) => kept.has(row.strategy)));
    }
    return view.runAsync();
  };
  for (const section of sections) {
    const filters = all("[data-filter]", section);
    const apply = () => {
      const wanted = filters.map((filter) => [filter.dataset.filter, filter.value.trim()]).filter(([, value]) => value);
      for (const row of all("tr[data-strategy]", section)) {
        row.hidden = !wanted.every(([name, value]) =>
          name === "text" ? row.dataset.text.includes(value.toLowerCase()) : row.dataset[name] === value);
      }
      const rows = all("table.grid:not(.runs) tbody tr", section);
      one("output", section).textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows`;
      for (const figure of all("figure", section)) {
        if (views.has(figure.dataset.picture)) filterPicture(figure.dataset.picture, section);
      }
    };
    for (const filter of filters) filter.addEventListener("input", apply);
    one("[data-clear]", section).addEventListener("click", () => {
      for (const filter of filters) filter.value = "";
      apply();
    });
    for (const box of all("[data-column]", section)) {
      box.addEventListener("change", () => {
        for (const row of all("table.grid:not(.runs) tr", section)) row.cells[box.dataset.column].hidden = !box.checked;
      });
    }
  }

  // --- pictures: drawn when they come into view -------------------------------------------------------------------

  const dark = matchMedia("(prefers-color-scheme: dark)");
  const colours = () => {
    const style = getComputedStyle(document.documentElement);
    const [text, soft, line] = ["--text", "--soft", "--line"].map((name) => style.getPropertyValue(name).trim());
    const words = { labelColor: text, titleColor: text, labelFontSize: 11, titleFontSize: 12, titleFontWeight: "normal" };
    return {
      background: null, font: style.fontFamily || "sans-serif", view: { stroke: line },
      axis: { ...words, gridColor: line, gridOpacity: 0.7, domainColor: soft, tickColor: soft },
      legend: words, header: { labelColor: text, titleColor: text }, title: { color: soft, fontSize: 12, fontWeight: "normal" },
      text: { color: text }, rule: { color: soft },
    };
  };
  const draw = async (figure) => {
    const name = figure.dataset.picture;
    const place = one(".picture", figure);
    const actions = { export: true, source: false, compiled: false, editor: false };
    const options = { ast: true, renderer: "svg", actions, config: colours(), tooltip: { theme: dark.matches ? "dark" : "light" } };
    try {
      const spec = (await unpacked("pictures"))[name];
      const { view } = await vegaEmbed(place, structuredClone(spec), { ...options, downloadFileName: name });
      views.set(name, { view, datasets: spec.datasets });
      await filterPicture(name, figure.closest("section"));
    } catch (error) {
      place.textContent = `This picture could not be drawn: ${error.message}`;
    }
  };
  const drawn = new Set();
  const seen = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting && !drawn.has(target)) {
        drawn.add(target);
        draw(target);
      }
    }
  }, { rootMargin: "400px" });
  const look = () => all("figure").forEach((figure) => seen.observe(figure));
  dark.addEventListener("change", () => drawn.forEach(draw));

  // --- records and files -------------------------------------------------------------------------------------------

  const save = (name, text) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/plain;charset=utf-8" }));
    link.download = name.replaceAll("/", "-");
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };
  const sorted = (value) => {
    if (Array.isArray(value)) return value.map(sorted);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.keys(value).sort().map((name) => [name, sorted(value[name])]));
  };
  const recordOf = ({ runs, shared, pool }, key) => {
    const { seed, ...record } = runs[key];
    for (const name of shared) record[name] = pool[record[name]];
    return sorted({ ...record, spec: { ...record.spec, seed } });
  };
  const dialog = one("dialog");
  document.addEventListener("click", async ({ target }) => {
    const button = target.closest("button");
    if (button?.dataset.key) {
      one("b", dialog).textContent = button.dataset.key;
      one("pre", dialog).textContent = JSON.stringify(recordOf(await unpacked("rest"), button.dataset.key), null, 1);
      dialog.showModal();
    } else if (button?.dataset.file) {
      save(button.dataset.file, (await unpacked("rest")).files[button.dataset.file]);
    } else if (button && "save" in button.dataset) {
      save(`${one("b", dialog).textContent}.json`, `${one("pre", dialog).textContent}\n`);
    } else if (button && "close" in button.dataset) {
      dialog.close();
    }
  });

  const asked = location.hash.slice(1);
  show(sections.some((section) => section.id === asked) ? asked : sections[0]?.id);
})();
