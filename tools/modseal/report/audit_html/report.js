"use strict";
// The page's script: pages, sorts and searches the rows, and opens a bundle's steps. Text from bundles becomes text
// nodes only (the Content-Security-Policy refuses anything else). Without this script the page has the worst rows.
(() => {
  const PAGE = 50; // rows at a time
  const PRINTED = 200; // rows on paper
  const byId = (id) => document.getElementById(id);
  const legend = JSON.parse(byId("legend").textContent);
  const rows = JSON.parse(byId("data").textContent);
  const F = Object.fromEntries(legend.fields.map((name, index) => [name, index]));
  const NO_LEVEL = legend.levels.indexOf("none");
  const table = byId("table");
  const body = table.tBodies[0];
  const headers = [...table.tHead.rows[0].cells];
  const filters = ["search", "verdict", "level", "severity", "rule"].map(byId);
  const opened = new Set();
  const view = { order: [], page: 0, column: 2, descending: true, length: PAGE };

  // Elements.

  function make(tag, attributes, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value === true) made.setAttribute(name, "");
      else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, String(value));
    }
    made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
    return made;
  }
  const span = (kind, ...children) => make("span", { class: kind }, ...children);
  const bdi = (text, kind) => make("bdi", { class: kind || null }, text);
  const unproved = () => span("tag unproved", "unproved");
  // Our own sentences: what stands between two backticks is code, as escape.py has it.
  const prose = (text) => {
    const parts = text.split("`");
    return parts.length % 2 ? parts.map((part, index) => (index % 2 ? make("code", null, part) : part)) : [text];
  };
  const count = (number) => number.toLocaleString("en-US");
  const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;

  function size(bytes) {
    const units = ["B", "kB", "MB", "GB"];
    let value = bytes;
    while (value >= 1000 && units.length > 1) {
      value /= 1000;
      units.shift();
    }
    return `${value.toFixed(units[0] === "B" ? 0 : 1)} ${units[0]}`;
  }

  // Rows. Each cell is as table.py writes it.

  function fileCell(row, place) {
    const cut = row[F.file].lastIndexOf("/") + 1;
    const name = row[F.file].slice(cut) || row[F.file];
    const folder = name === row[F.file] ? "" : row[F.file].slice(0, cut);
    const open = opened.has(place);
    const button = make("button", { type: "button", class: "open", "aria-expanded": String(open), "data-place": place });
    if (open) button.setAttribute("aria-controls", `details-${place}`);
    button.append(bdi(name, "file"));
    if (folder) button.append(bdi(folder, "folder"));
    return button;
  }

  function moduleCell(row) {
    if (row[F.name] === null) return span("dim", "not readable");
    const vendor = span("dim line", bdi(row[F.vendor], "vendor"), " ", row[F.proved] ? null : unproved());
    return [bdi(`${row[F.name]} ${row[F.version]}`), vendor];
  }

  function levelCell(row) {
    const claims = row[F.claimed] !== row[F.proven] && row[F.claimed] !== NO_LEVEL;
    const level = legend.levels[row[F.proven]];
    return claims ? [level, span("dim line", `claims ${legend.levels[row[F.claimed]]} `, unproved())] : level;
  }

  function findingsCell(row) {
    const worst = legend.severities[row[F.worst]];
    return [
      worst ? span(`pill ${worst}`, `${worst} \u00b7 ${count(row[F.counted])}`) : null,
      row[F.aside] ? span("dim line", `${count(row[F.aside])} set aside`) : null,
      worst || row[F.aside] ? null : span("dim", "none"),
    ];
  }

  function rowOf(place) {
    const row = rows[place];
    const verdict = legend.verdicts[row[F.verdict]];
    const cells = [
      fileCell(row, place),
      moduleCell(row),
      span(`pill ${verdict}`, verdict),
      levelCell(row),
      findingsCell(row),
      row[F.anchors] ? bdi(row[F.anchors]) : span("dim", "nobody"),
      size(row[F.size]),
    ];
    const made = cells.map((cell, index) => make("td", { role: "cell", "data-column": legend.columns[index] }, cell));
    return make("tr", { role: "row", id: `bundle-${place}` }, made);
  }

  // Details.

  const pair = (name, ...value) => make("div", null, make("dt", null, name), make("dd", null, ...value));
  const inline = (name, ...value) => pair(`${name}: `, ...value);

  function detailsOf(place) {
    const row = rows[place];
    const data = byId(`steps-${place}`);
    const cell = make("td", { role: "cell", colspan: headers.length }, facts(row));
    if (data) {
      const steps = JSON.parse(data.textContent);
      cell.append(...signers(steps.signers), ...notes(steps.notes), ...examination(steps, row[F.proved]));
    } else {
      cell.append(make("p", { class: "note" }, "This bundle is listed without its steps; the JSON report has them."));
    }
    return make("tr", { role: "row", class: "details", id: `details-${place}` }, cell);
  }

  function facts(row) {
    return make(
      "dl",
      { class: "facts" },
      pair("File", bdi(row[F.file], "path")),
      row[F.name] === null ? null : pair("Module", bdi(`${row[F.vendor]} ${row[F.name]} ${row[F.version]}`), " ", row[F.proved] ? null : unproved()),
      row[F.claimed] === NO_LEVEL ? null : pair("Claims", legend.levels[row[F.claimed]], " ", row[F.claimed] === row[F.proven] ? null : unproved()),
      pair("SHA-256", row[F.sha256] ? make("code", null, row[F.sha256]) : "could not be read to the end"),
      pair("Format", row[F.format] ? `.${row[F.format]}` : "none that can be read"),
      pair("Size", `${count(row[F.size])} bytes`),
    );
  }

  function signers(list) {
    if (!list.length) return [];
    const items = list.map((one) =>
      make(
        "li",
        null,
        bdi(one.subject, "strong"),
        " ",
        one.anchor === null ? span("tag unproved", "not trusted, unproved") : span("tag trusted", "trusted by ", bdi(one.anchor)),
        make(
          "dl",
          { class: "evidence" },
          inline("algorithm", one.algorithm),
          inline("valid", `${one.not_before.slice(0, 10)} to ${one.not_after.slice(0, 10)}`),
          inline("timestamps", count(one.timestamps)),
          one.claimed_time ? inline("says it signed at", one.claimed_time, " ", unproved()) : null,
          inline("certificate SHA-256", make("code", null, one.fingerprint)),
        ),
      ),
    );
    return [make("h3", null, "Signers"), make("ul", { class: "plain" }, items)];
  }

  function notes(list) {
    if (!list.length) return [];
    const items = list.map(({ rule, detail, state }) => {
      const link = make("a", { href: `#rule-${rule}` }, prose(legend.rules[rule][1]));
      return make("li", null, link, ": ", bdi(detail), state === "new" ? null : [" ", span("tag", state)]);
    });
    return [make("h3", null, "Findings of rules"), make("ul", { class: "plain" }, items)];
  }

  function examination(steps, proved) {
    if (steps.error) {
      const { code, detail } = steps.error;
      return [make("h3", null, "Not examined"), make("p", null, bdi(detail), " ", make("code", null, code))];
    }
    const items = legend.steps.map((name, step) => {
      const checks = steps.checks.filter((check) => check.step === step);
      const worst = ["failed", "inconclusive", "passed"].find((one) => checks.some((check) => statusOf(check) === one));
      const title = make("h4", null, span("number", String(step)), " ", name);
      const list = checks.length ? make("ul", { class: "plain" }, checks.map(checkOf)) : make("p", { class: "dim" }, "no check");
      return make("li", { class: worst || "not-applicable" }, title, list);
    });
    const more = steps.more
      ? make("p", { class: "note" }, `${plural(steps.more, "more check")} of this bundle: see the JSON report.`)
      : null;
    const list = make("ol", { class: "steps", start: 0 }, items);
    return [make("h3", null, "Steps"), proved ? null : make("p", { class: "note" }, UNPROVED), list, more].filter(Boolean);
  }
  const UNPROVED =
    "No signer whom the policy trusts stands for this manifest: whatever the steps quote from it is unproved.";


  const statusOf = (check) => legend.statuses[check.status];

  function checkOf(check) {
    const { code, detail, evidence, next } = check;
    const status = statusOf(check);
    const values = make("dl", { class: "evidence" }, evidence.map(([name, value]) => inline(name, bdi(value))));
    const quiet = status === "passed" || status === "not-applicable";
    return make(
      "li",
      { class: `check ${status}` },
      span("status", status),
      " ",
      bdi(detail),
      code ? [" ", make("code", null, code)] : null,
      evidence.length ? (quiet ? make("details", null, make("summary", null, "Evidence"), values) : values) : null,
      next ? make("p", { class: "next" }, make("b", null, "Next: "), prose(next)) : null,
    );
  }

  function toggle(button) {
    const place = Number(button.dataset.place);
    const open = !opened.has(place);
    if (open) opened.add(place);
    else opened.delete(place);
    const row = button.closest("tr");
    button.setAttribute("aria-expanded", String(open));
    if (open) {
      row.after(detailsOf(place));
      button.setAttribute("aria-controls", `details-${place}`);
    } else {
      row.nextElementSibling.remove();
      button.removeAttribute("aria-controls");
    }
  }

  // What is shown, and in which order.

  const text = (...fields) => (row) => fields.map((name) => row[F[name]] || "").join(" ").toLowerCase();
  const KEYS = [
    text("file"),
    text("name", "version", "vendor"),
    (row) => row[F.verdict] * 1e12 + (row[F.worst] + 1) * 1e9 + Math.min(row[F.counted], 1e8 - 1),
    (row) => -row[F.proven],
    (row) => (row[F.worst] + 1) * 1e9 + row[F.verdict] * 1e8 + Math.min(row[F.counted], 1e8 - 1),
    text("anchors"),
    (row) => row[F.size],
  ];
  const words = [];
  function wordsOf(place) {
    if (words[place] === undefined) {
      const row = rows[place];
      const found = ["file", "vendor", "name", "version", "anchors", "sha256", "format"].map((name) => row[F[name]] || "");
      words[place] = [...found, ...row[F.rules].map((rule) => legend.rules[rule][0])].join("\n").toLowerCase();
    }
    return words[place];
  }

  function matching() {
    const [search, verdict, level, severity, rule] = filters.map((field) => field.value);
    const wanted = search.toLowerCase().split(/\s+/).filter(Boolean);
    const is = (value, number) => value === "" || Number(value) === number;
    const found = [];
    rows.forEach((row, place) => {
      if (!is(verdict, row[F.verdict]) || !is(level, row[F.proven]) || !is(severity, row[F.worst])) return;
      if (rule !== "" && !row[F.rules].includes(Number(rule))) return;
      if (wanted.length && !wanted.every((word) => wordsOf(place).includes(word))) return;
      found.push(place);
    });
    return found;
  }

  function sorted(places) {
    const keys = new Map(places.map((place) => [place, KEYS[view.column](rows[place])]));
    const sign = view.descending ? -1 : 1;
    const compare = (one, other) => {
      const [left, right] = [keys.get(one), keys.get(other)];
      return left < right ? -sign : left > right ? sign : one - other;
    };
    return places.sort(compare);
  }

  function update() {
    view.order = sorted(matching());
    view.page = 0;
    draw();
  }

  function draw() {
    const start = view.page * view.length;
    const places = view.order.slice(start, start + view.length);
    const made = places.flatMap((place) => (opened.has(place) ? [rowOf(place), detailsOf(place)] : [rowOf(place)]));
    if (!made.length) {
      const cell = make("td", { role: "cell", colspan: headers.length, class: "dim" }, "No bundle is like this.");
      made.push(make("tr", { role: "row", class: "empty" }, cell));
    }
    body.replaceChildren(...made);
    headers.forEach((header, index) => {
      const direction = view.descending ? "descending" : "ascending";
      header.setAttribute("aria-sort", index === view.column ? direction : "none");
    });
    const all = view.order.length === rows.length;
    byId("shown").textContent = all ? plural(rows.length, "bundle") : `${count(view.order.length)} of ${plural(rows.length, "bundle")}`;
    const pages = Math.max(Math.ceil(view.order.length / view.length), 1);
    byId("pages").hidden = pages === 1;
    byId("page").textContent = `Page ${count(view.page + 1)} of ${count(pages)}`;
    byId("previous").disabled = view.page === 0;
    byId("next").disabled = view.page + 1 >= pages;
  }

  function turn(by) {
    view.page += by;
    draw();
    byId("bundles").scrollIntoView();
  }

  // Controls.

  function fill(select, names, start = 0) {
    names.forEach((name, index) => select.append(make("option", { value: index + start }, name)));
  }
  const [search, verdict, level, severity, rule] = filters;
  fill(verdict, legend.verdicts);
  fill(level, legend.levels);
  fill(severity, ["no finding", ...legend.severities], -1);
  fill(rule, legend.rules.map(([name]) => name));
  headers.forEach((header, index) => {
    const button = make("button", { type: "button" }, header.textContent);
    button.addEventListener("click", () => {
      view.descending = view.column === index ? !view.descending : index === 4 || index === 2;
      view.column = index;
      update();
    });
    header.replaceChildren(button);
  });
  let waiting = 0;
  byId("filters").addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(update, rows.length > 5000 ? 150 : 0);
  });
  byId("filters").addEventListener("reset", () => setTimeout(update));
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("previous").addEventListener("click", () => turn(-1));
  byId("next").addEventListener("click", () => turn(1));
  body.addEventListener("click", (event) => {
    const button = event.target.closest("button.open");
    if (button) toggle(button);
  });
  document.querySelectorAll("p.filter").forEach((place) => {
    const button = make("button", { type: "button" }, "Show these bundles in the table");
    button.addEventListener("click", () => {
      narrow(rule, place.dataset.rule);
      rule.focus({ preventScroll: true });
    });
    place.append(button);
  });

  // Links: to a rule, to a bundle's row, or to the table narrowed down (`only-FILTER-VALUE`).
  function follow() {
    const [kind, ...rest] = location.hash.slice(1).split("-");
    if (kind === "rule" && byId(`rule-${rest[0]}`)) byId(`rule-${rest[0]}`).open = true;
    if (kind === "bundle" && rows[Number(rest[0])]) showBundle(Number(rest[0]));
    const field = kind === "only" ? filters.find((one) => one.id === rest[0]) : null;
    const option = field && [...field.options].find((one) => one.textContent === rest[1]);
    if (option) narrow(field, option.value);
  }
  function narrow(field, value) {
    for (const one of filters) one.value = "";
    if (field) field.value = value;
    update();
    byId("bundles").scrollIntoView();
  }
  function showBundle(place) {
    opened.add(place);
    narrow(null);
    view.page = Math.floor(view.order.indexOf(place) / view.length);
    draw();
    const row = byId(`bundle-${place}`);
    row.scrollIntoView();
    row.querySelector("button.open").focus({ preventScroll: true });
  }
  // The same link again changes no address, and is meant all the same.
  document.querySelector("main").addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (link && decodeURIComponent(link.getAttribute("href")) === location.hash) follow();
  });
  addEventListener("hashchange", follow);
  addEventListener("beforeprint", () => {
    Object.assign(view, { length: PRINTED, before: view.page, page: 0 });
    draw();
  });
  addEventListener("afterprint", () => {
    Object.assign(view, { length: PAGE, page: view.before || 0 });
    draw();
  });

  // The theme: the system's until somebody chooses; remembered where the browser lets us.

  const theme = byId("theme");
  const memory = (use) => {
    try {
      return use(localStorage);
    } catch {
      return null;
    }
  };
  const system = () => (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  const current = () => document.documentElement.dataset.theme || system();
  const name = () => (theme.textContent = current() === "dark" ? "Light theme" : "Dark theme");
  const chosen = memory((store) => store.getItem("modseal-theme"));
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
  theme.addEventListener("click", () => {
    const wanted = current() === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = wanted;
    memory((store) => store.setItem("modseal-theme", wanted));
    name();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", name);

  name();
  [theme, byId("filters"), byId("shown")].forEach((control) => (control.hidden = false));
  document.documentElement.classList.add("live");
  update();
  follow();
})();
