"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const pages = JSON.parse(byId("index").textContent);
  const contents = new Map();
  const pictures = new Map();
  const rows = 500; // of the list, until more are asked for
  const tagged = 25; // boxes that still have room for their numbers
  // The colours of the project's other pictures: inferno without its darkest eighth, and the boxes'.
  const stops = ("210c4a 2d0b59 390963 450a69 510e6c 5c126e 67166e 721a6e 7d1e6d 88226a 932667 " +
    "9f2a63 a92e5e b43359 bf3952 c83f4b d24644 da4e3c e25734 e9612b ef6c23 f37819 f78410 fa9008 " +
    "fb9d07 fcaa0f fbb81d fac62d f7d340 f4e156 f1ed71 f4f88e fcffa4").split(" ");
  const hues = ["#56B4E9", "#E69F00", "#00B283", "#F0E442", "#E28DBE", "#3D8FD1", "#F0733A"];

  // One list of all entries; each knows its photo.
  const entries = pages.flatMap((page, at) => page.entries.map((entry, number) => (
    { ...entry, page: at, number, id: `entry-${at}-${number}` })));
  const kinds = unique(entries.map((entry) => entry.kind));
  const state = { page: 0, chosen: null, pointed: null, shown: rows, listed: [], drawing: 0,
    zoom: 1 };

  function unique(values) { return [...new Set(values)]; }
  function make(name, text, attributes = {}) {
    const element = document.createElement(name);
    element.textContent = text;
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  }
  function contentOf(page) {
    if (!contents.has(page)) contents.set(page, JSON.parse(byId(`content-${page}`).textContent));
    return contents.get(page);
  }
  const mapsOf = (entry) => contentOf(entry.page).maps[entry.number];
  const colorOf = (entry) => hues[
    (kinds.length > 1 ? kinds.indexOf(entry.kind) : entry.number) % hues.length];
  const nameOf = (entry) => (/^\d*$/.test(entry.label)
    ? `#${entry.number + 1} class ${entry.label}` : `${entry.number + 1} ${entry.label}`);
  const current = () => state.pointed || state.chosen;

  // Colours: 256 steps between the stops.
  const colors = Array.from({ length: 256 }, (_, step) => {
    const place = (step / 255) * (stops.length - 1);
    const low = Math.min(Math.floor(place), stops.length - 2);
    return [0, 2, 4].map((at) => {
      const [from, to] = [low, low + 1].map((n) => parseInt(stops[n].slice(at, at + 2), 16));
      return from + (to - from) * (place - low);
    });
  });

  // The value of a choice is its place, so that no text of a label can be taken for "all".
  function choices(select, values, all) {
    select.replaceChildren();
    if (all) select.append(make("option", all, { value: "" }));
    values.forEach((value, at) => {
      select.append(make("option", value || "none", { value: String(at) }));
    });
  }
  const filters = ["kind", "label", "verdict"].map((key) => {
    const values = unique(entries.map((entry) => entry[key])).sort();
    choices(byId(key), values, "all");
    byId(`${key}-choice`).hidden = values.length < 2;
    byId(key).addEventListener("change", refresh);
    return (entry) => byId(key).value === "" || values[Number(byId(key).value)] === entry[key];
  });
  byId("score-choice").hidden = entries.every((entry) => entry.score === null);
  byId("scope-choice").hidden = byId("images").hidden = pages.length < 2;
  const lowest = () => Number(byId("score").value) / 100;
  const passes = (entry) => filters.every((fits) => fits(entry))
    && (lowest() === 0 || (entry.score !== null && entry.score >= lowest()));
  const visible = () => entries.filter((entry) => entry.page === state.page && passes(entry));

  // What there is to switch between: all methods and outputs of this photo.
  const switches = { method: [], output: [] };
  const switched = (id) => switches[id][Number(byId(id).value)];
  function offer() {
    const known = contentOf(state.page).maps.flat();
    for (const id of ["method", "output"]) {
      const before = switched(id);
      switches[id] = unique(known.map((map) => map[id]));
      choices(byId(id), switches[id]);
      byId(id).value = String(Math.max(switches[id].indexOf(before), 0));
      byId(`${id}-choice`).hidden = switches[id].length < 2;
    }
  }
  const mapFor = (entry) => mapsOf(entry).find(
    (map) => map.method === switched("method") && map.output === switched("output"));

  function show(page) {
    state.page = page;
    state.pointed = null;
    if (state.chosen && state.chosen.page !== page) state.chosen = null;
    byId("image").value = String(page);
    byId("previous-image").disabled = page === 0;
    byId("next-image").disabled = page === pages.length - 1;
    byId("photo").src = contentOf(page).photo;
    byId("photo").alt = `${pages[page].name}, ${pages[page].entries.length} boxes`;
    offer();
    fit();
    refresh();
  }

  // The stage is as large as the window lets the photo be.
  function fit() {
    const { width, height } = pages[state.page];
    const narrow = matchMedia("(max-width: 820px)").matches;
    const room = byId("stage").parentElement.clientWidth;
    const tall = Math.max(narrow ? innerHeight * 0.42 : innerHeight - 220, 180);
    const scale = Math.min(room / width, tall / height);
    byId("stage").style.width = `${width * scale}px`;
    byId("stage").style.height = `${height * scale}px`;
    byId("boxes").setAttribute("viewBox", `0 0 ${width} ${height}`);
    byId("boxes").setAttribute("preserveAspectRatio", "none");
  }

  function refresh() {
    byId("score-value").textContent = lowest().toFixed(2);
    if (state.chosen && !passes(state.chosen)) state.chosen = null;
    state.pointed = null;
    state.shown = rows;
    fill();
    draw();
  }

  function fill() {
    const all = byId("scope").value === "all";
    const scope = entries.filter((entry) => all || entry.page === state.page);
    state.listed = scope.filter(passes);
    const part = state.listed.slice(0, state.shown);
    byId("list").replaceChildren(...part.map((entry) => {
      const row = make("li", "", { role: "option", id: entry.id, "aria-selected": "false" });
      const swatch = make("span", "", { class: "mark", "aria-hidden": "true" });
      swatch.style.background = colorOf(entry);
      const name = make("span", nameOf(entry), { class: "name" });
      const below = [all ? pages[entry.page].name : "", entry.kind, entry.verdict];
      const small = below.filter(Boolean).join(" · ");
      if (small) name.append(make("small", small));
      const score = entry.score === null ? "" : entry.score.toFixed(2);
      row.append(swatch, name, make("span", score, { class: "number" }));
      return row;
    }));
    byId("more").hidden = part.length === state.listed.length;
    byId("count").textContent = state.listed.length === scope.length
      ? `${scope.length} boxes` : `${state.listed.length} of ${scope.length} boxes`;
    mark();
  }

  function mark() {
    const list = byId("list");
    for (const row of list.querySelectorAll('[aria-selected="true"]')) {
      row.setAttribute("aria-selected", "false");
    }
    const row = state.chosen && byId(state.chosen.id);
    if (!row) {
      list.removeAttribute("aria-activedescendant");
      return;
    }
    row.setAttribute("aria-selected", "true");
    list.setAttribute("aria-activedescendant", row.id);
    const [outer, inner] = [list.getBoundingClientRect(), row.getBoundingClientRect()];
    if (inner.top < outer.top) list.scrollTop -= outer.top - inner.top;
    if (inner.bottom > outer.bottom) list.scrollTop += inner.bottom - outer.bottom;
  }

  function choose(entry) {
    state.chosen = entry;
    state.pointed = null;
    if (entry && entry.page !== state.page) show(entry.page);
    const at = state.listed.indexOf(entry);
    if (at >= state.shown) {
      state.shown = at + rows;
      fill();
    }
    mark();
    draw();
  }

  function step(by) {
    if (!state.listed.length) return;
    const chosen = state.listed.indexOf(state.chosen);
    const last = state.listed.length - 1;
    const from = chosen < 0 && by < 0 ? last + 1 : chosen; // -1, before the first, otherwise
    choose(state.listed[Math.min(Math.max(from + by, 0), last)]);
  }

  function turn(select) {
    if (select.options.length < 2) return;
    select.value = String((Number(select.value) + 1) % select.options.length);
    draw();
  }

  function move(by) {
    const next = state.page + by;
    if (next >= 0 && next < pages.length) show(next);
  }

  function draw() {
    const entry = current();
    byId("threshold-value").textContent = `${byId("threshold").value} %`;
    place(entry);
    outline(entry);
    tell(entry);
    warm(entry);
  }

  function place(entry) {
    const { width, height } = pages[state.page];
    const layers = byId("layers");
    const [x1, y1, x2, y2] = entry && byId("zoom").checked ? entry.box : [0, 0, width, height];
    // A box takes a third of the photo's sides; three times the whole photo is no zoom.
    state.zoom = Math.max(Math.min(width / (3 * (x2 - x1)), height / (3 * (y2 - y1)), 16), 1);
    const shift = (low, high, length) => -100 * Math.min(
      Math.max((low + high) / length / 2 - 0.5 / state.zoom, 0), 1 - 1 / state.zoom);
    layers.style.transform = state.zoom === 1 ? "" : `scale(${state.zoom}) translate(${
      shift(x1, x2, width)}%, ${shift(y1, y2, height)}%)`;
    layers.style.setProperty("--zoom", state.zoom);
  }

  function outline(entry) {
    const { width, height } = pages[state.page];
    const seen = byId("all-boxes").checked ? visible() : [];
    const ordered = seen.filter((one) => one !== entry).reverse();
    if (entry) ordered.push(entry);
    const unit = width / Math.max(byId("stage").clientWidth, 1) / state.zoom; // a pixel on screen
    const shapes = [];
    const add = (name, attributes, text = "") => {
      const shape = document.createElementNS("http://www.w3.org/2000/svg", name);
      for (const [key, value] of Object.entries(attributes)) shape.setAttribute(key, value);
      shape.textContent = text;
      shapes.push(shape);
    };
    for (const one of ordered) {
      const [x1, y1, x2, y2] = one.box.map((edge, at) => (
        Math.min(Math.max(edge, 0), at % 2 ? height : width)));
      const chosen = one === entry ? " chosen" : "";
      const frame = { x: x1, y: y1, width: Math.max(x2 - x1, 0), height: Math.max(y2 - y1, 0) };
      const path = (points) => `M${points.map((point) => point.join(" ")).join("L")}Z`;
      const lines = (one.outlines || []).map(path).map((d) => ["path", { d }]);
      lines.push(one.corners ? ["path", { d: path(one.corners) }] : ["rect", frame]);
      for (const [kind, line] of lines) {
        if (chosen || ordered.length <= 100) add(kind, { ...line, class: `casing${chosen}` });
        add(kind, { ...line, class: `edge${chosen}`, stroke: colorOf(one) });
      }
      if (!chosen && ordered.length > tagged) continue;
      const size = 13 * unit;
      const y = y1 > 1.4 * size ? y1 - 0.35 * size : y1 + 1.1 * size;
      add("text", { x: x1 + 3 * unit, y, "font-size": size, "stroke-width": 3 * unit,
        fill: colorOf(one) }, chosen ? nameOf(one) : String(one.number + 1));
    }
    for (const [name, [x1, y1, x2, y2]] of (entry && entry.others) || []) {
      const frame = { x: x1, y: y1, width: Math.max(x2 - x1, 0), height: Math.max(y2 - y1, 0) };
      add("rect", { ...frame, class: "casing other" });
      add("rect", { ...frame, class: "edge other" });
      const [size, low] = [12 * unit, y2 + 15 * unit < height];
      add("text", { x: Math.max(x1, 0) + 3 * unit, y: low ? y2 + 1.1 * size : y2 - 0.4 * size,
        "font-size": size, "stroke-width": 3 * unit, fill: "#fff" }, name);
    }
    byId("boxes").classList.toggle("crowded", Boolean(entry) && ordered.length > tagged);
    byId("boxes").replaceChildren(...shapes);
  }

  function tell(entry) {
    const about = byId("about");
    // A reader of the screen hears what was chosen, not all that the pointer passes.
    about.setAttribute("aria-live", state.pointed ? "off" : "polite");
    if (!entry) {
      about.replaceChildren(make("p", "Point at a box, or choose one in the list, to see its map."));
      return;
    }
    const score = entry.score === null ? "not detected" : entry.score.toFixed(2);
    const shown = mapFor(entry);
    const map = shown ? [["Map", [shown.method, shown.output].filter(Boolean).join(", ")]] : [];
    const facts = make("dl", "");
    for (const [key, value] of [...map, ...entry.facts]) {
      facts.append(make("dt", key), make("dd", value));
    }
    about.replaceChildren(
      make("h2", `${nameOf(entry)}, ${score}`),
      make("p", [entry.kind, entry.verdict].filter(Boolean).join(" · ")), facts);
  }

  async function warm(entry) {
    const drawing = ++state.drawing;
    const canvas = byId("heat");
    const map = entry && mapFor(entry);
    let reason = "";
    if (entry && !map) reason = "no map of this method and output";
    if (map && !map.grey) reason = "empty map: no value above its floor";
    byId("remark").textContent = reason;
    byId("remark").hidden = !reason;
    byId("stage").classList.toggle("warm", Boolean(entry));
    delete canvas.dataset.drawn;
    const grey = map && map.grey ? await picture(map.grey) : null;
    if (drawing !== state.drawing) return; // another box was chosen meanwhile
    const { width, height } = pages[state.page];
    const scale = Math.min(byId("stage").clientWidth * devicePixelRatio, 1200) / width;
    canvas.width = Math.max(Math.round(width * scale), 1); // which clears it, too
    canvas.height = Math.max(Math.round(height * scale), 1);
    if (!grey) return;
    const [x1, y1, x2, y2] = map.place.map((edge) => edge * scale);
    const pen = canvas.getContext("2d", { willReadFrequently: true });
    pen.imageSmoothingQuality = "high";
    pen.drawImage(grey, x1, y1, x2 - x1, y2 - y1);
    const at = [Math.floor(x1), Math.floor(y1)];
    const pixels = pen.getImageData(
      ...at, Math.max(Math.ceil(x2) - at[0], 1), Math.max(Math.ceil(y2) - at[1], 1));
    paint(pixels.data, Number(byId("opacity").value), Number(byId("threshold").value));
    pen.putImageData(pixels, ...at);
    canvas.dataset.drawn = `${entry.id} ${map.method} ${map.output}`;
  }

  // Grey becomes colour, more opaque where the value is higher.
  function paint(data, opacity, threshold) {
    for (let i = 0; i < data.length; i += 4) {
      const value = data[i + 3] ? data[i] : 0;
      const color = colors[value];
      data[i] = color[0];
      data[i + 1] = color[1];
      data[i + 2] = color[2];
      data[i + 3] = value < 2.55 * threshold ? 0 : 2.55 * opacity * (value / 255) ** 0.6;
    }
  }

  function picture(base64) {
    if (!pictures.has(base64)) {
      if (pictures.size > 300) pictures.clear();
      const image = new Image();
      image.src = `data:image/png;base64,${base64}`;
      pictures.set(base64, image.decode().then(() => image));
    }
    return pictures.get(base64);
  }

  // Boxes under the pointer, the smallest first.
  function boxesAt(event) {
    const shown = byId("layers").getBoundingClientRect();
    const { width, height } = pages[state.page];
    const x = ((event.clientX - shown.left) / shown.width) * width;
    const y = ((event.clientY - shown.top) / shown.height) * height;
    const slack = (5 * width) / shown.width;
    const area = ({ box }) => (box[2] - box[0]) * (box[3] - box[1]);
    return visible().filter(({ box }) => x >= box[0] - slack && x <= box[2] + slack
      && y >= box[1] - slack && y <= box[3] + slack).sort((a, b) => area(a) - area(b));
  }
  function point(entry) {
    if (entry === state.pointed) return;
    state.pointed = entry;
    draw();
  }
  byId("stage").addEventListener("pointermove", (event) => {
    // While the photo moves under the pointer, pointing would choose box after box.
    if (event.pointerType === "mouse" && !byId("zoom").checked) point(boxesAt(event)[0] || null);
  });
  byId("stage").addEventListener("pointerleave", () => point(null));
  byId("stage").addEventListener("click", (event) => {
    const found = boxesAt(event);
    choose(found.length ? found[(found.indexOf(state.chosen) + 1) % found.length] : null);
  });
  byId("list").addEventListener("click", (event) => {
    const row = event.target.closest("li");
    if (row) choose(state.listed.find((entry) => entry.id === row.id));
  });

  // Where there is more on the page than this, keys belong to it while it has the focus.
  const viewer = document.querySelector("main");
  const alone = !viewer.hasAttribute("tabindex");
  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (!alone && !viewer.contains(document.activeElement)) return;
    const typing = event.target.closest("select, input[type=range]");
    if (typing && event.key !== "Escape") return;
    const several = pages.length > 1;
    const actions = {
      ArrowDown: () => step(1),
      ArrowUp: () => step(-1),
      ArrowRight: () => (several ? move(1) : step(1)),
      ArrowLeft: () => (several ? move(-1) : step(-1)),
      Home: () => step(-Infinity),
      End: () => step(Infinity),
      Escape: () => choose(null),
      m: () => turn(byId("method")),
      o: () => turn(byId("output")),
      z: () => byId("zoom").click(),
    };
    if (!Object.hasOwn(actions, event.key)) return;
    event.preventDefault();
    actions[event.key]();
  });

  pages.forEach((page, at) => byId("image").append(make(
    "option", `${at + 1} / ${pages.length}  ${page.name}`, { value: String(at) })));
  byId("image").addEventListener("change", () => show(Number(byId("image").value)));
  byId("previous-image").addEventListener("click", () => move(-1));
  byId("next-image").addEventListener("click", () => move(1));
  byId("more").addEventListener("click", () => {
    state.shown += rows;
    fill();
  });
  for (const id of ["method", "output", "zoom", "all-boxes"]) {
    byId(id).addEventListener("change", draw);
  }
  byId("opacity").addEventListener("input", draw);
  byId("threshold").addEventListener("input", draw);
  byId("score").addEventListener("input", refresh);
  byId("scope").addEventListener("change", refresh);
  let resized = 0;
  addEventListener("resize", () => {
    cancelAnimationFrame(resized);
    resized = requestAnimationFrame(() => {
      fit();
      draw();
    });
  });

  if (matchMedia("(max-width: 820px)").matches) byId("filters").open = false;
  const ramp = byId("ramp").getContext("2d");
  colors.forEach(([red, green, blue], at) => {
    ramp.fillStyle = `rgb(${red}, ${green}, ${blue})`;
    ramp.fillRect(at, 0, 1, 1);
  });
  // A link to a box, #box-3-1, or to one of its maps, #box-3-1-0.
  function follow() {
    const [, page, number, map] = /^#box-(\d+)-(\d+)(?:-(\d+))?$/.exec(location.hash) || [];
    const entry = entries.find((one) => one.page === Number(page) && one.number === Number(number));
    if (!entry) return;
    for (const id of ["kind", "label", "verdict"]) byId(id).value = "";
    byId("score").value = 0;
    show(entry.page);
    const asked = map === undefined ? undefined : mapsOf(entry)[Number(map)];
    for (const id of asked ? ["method", "output"] : []) {
      byId(id).value = String(switches[id].indexOf(asked[id]));
    }
    choose(entry);
    document.querySelector("header").scrollIntoView();
    viewer.focus({ preventScroll: true });
  }
  addEventListener("hashchange", follow);
  show(0);
  follow();
})();
