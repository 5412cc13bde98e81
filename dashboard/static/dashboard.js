// What pages do beyond reading: times in the viewer's zone, plots, and the chip that says whether what is shown is new.
// Parts of pages are replaced by htmx; whatever works here again after that listens to its events.
"use strict";

const STALE_MS = 10_000;
const FEW = 48; // A line of so few places may have values that stand alone.
const PALETTE = ["#1f77b4", "#d2691e", "#2e8b57", "#a6468f", "#8c6d1f", "#c0392b", "#5b6b7a", "#2aa3a3"];

// Moments on an axis and under the pointer, as everywhere on the pages: the day of 24 hours, dates that read one way only. uPlot
// takes the first step that fits: from how many seconds on, what stands at each place, and below it where year or day change.
const DAY = "{YYYY}-{MM}-{DD}";
const step = (seconds, shown, below) => [seconds, shown, below, null, below, null, null, null, 1];
const MOMENTS = [step(86_400, DAY, null), step(60, "{HH}:{mm}", `\n${DAY}`), step(0, "{HH}:{mm}:{ss}", `\n${DAY}`)];

const pad = (number) => String(number).padStart(2, "0");
const numbers = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });
const said = (number) => numbers.format(number).replaceAll(",", "\u202f");
const saidIn = (number, unit) => (unit === "$" ? `$${said(number)}` : `${said(number)} ${unit}`);

/** Shows a moment in the viewer's zone, with UTC on hover. */
function localTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    // One that a part of the page brought anew is in UTC again.
    if (!time.textContent.endsWith(" UTC")) continue;
    const at = new Date(time.getAttribute("datetime").replace(" UTC", "Z").replace(" ", "T"));
    if (isNaN(at)) continue;
    const day = `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}`;
    time.title = time.textContent;
    time.textContent = `${day} ${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
  }
}

// Plots

const plots = [];

/** Returns the places of lines in the order in which they are drawn: stacked ones from the top down, so that one that adds
 * nothing does not hide the one below it. */
function drawingOrder(plot) {
  const places = plot.lines.map((_, place) => place);
  return plot.lines.some((line) => line.kind === "stack") ? places.reverse() : places;
}

/** Returns the values as they are drawn: stacked ones lie on top of each other. */
function drawn(plot) {
  let below = null;
  const columns = plot.lines.map((line) => {
    if (line.kind !== "stack") return line.y;
    // What is not known is no nothing: there is a gap.
    below = line.y.map((value, place) => (value == null ? null : value + (below?.[place] ?? 0)));
    return below;
  });
  const levels = plot.levels.map((level) => plot.x.map(() => level.y));
  return [plot.x, ...drawingOrder(plot).map((place) => columns[place]), ...levels];
}

function seriesOf(line, index, unit) {
  const colour = PALETTE[index % PALETTE.length];
  const series = { label: line.label, stroke: colour, width: 2, spanGaps: false, points: { show: line.y.length <= FEW, size: 5 } };
  series.value = (_, shown, __, place) => {
    const value = place == null ? null : line.y[place];
    return value == null ? "–" : saidIn(value, unit);
  };
  if (line.kind === "step") series.paths = uPlot.paths.stepped({ align: 1 });
  if (line.kind === "stack") series.fill = colour + "55";
  if (line.kind === "band_low" || line.kind === "band_high") series.width = 1;
  return series;
}

function draw(figure) {
  const plot = JSON.parse(figure.querySelector("script").textContent);
  const canvas = figure.querySelector(".canvas");
  if (plot.x.length < 2) return;
  figure.querySelector(".nothing")?.remove();
  const style = getComputedStyle(document.body);
  const ink = style.getPropertyValue("--soft"), edge = style.getPropertyValue("--edge");
  const axis = { stroke: ink, grid: { stroke: edge, width: 1 }, ticks: { stroke: edge, width: 1 } };
  const across = plot.is_time ? { ...axis, values: MOMENTS, space: 76 } : { ...axis, label: plot.x_label, values: (_, places) => places.map(said) };
  const beneath = plot.is_time ? { label: "time", value: `${DAY} {HH}:{mm}:{ss}` } : { label: plot.x_label };
  const bands = [];
  const order = drawingOrder(plot);
  order.forEach((index, at) => {
    const line = plot.lines[index];
    if (line.kind === "stack" && index > 0) {
      bands.push({ series: [at + 1, at + 2], fill: PALETTE[index % PALETTE.length] + "55" });
    }
    if (line.kind === "band_high") bands.push({ series: [index + 1, index], fill: PALETTE[index % PALETTE.length] + "33" });
  });
  const levels = plot.levels.map((level) => ({ label: level.label, stroke: ink, width: 1, dash: [6, 4], points: { show: false }, value: () => saidIn(level.y, plot.unit) }));
  const options = {
    width: canvas.clientWidth || figure.clientWidth - 20, height: 220,
    scales: { x: { time: plot.is_time }, y: { range: (_, low, high) => [Math.min(0, low ?? 0), (high || 1) * 1.08] } },
    axes: [across, { ...axis, size: 56, values: (_, places) => places.map(said) }],
    series: [beneath, ...order.map((index) => seriesOf(plot.lines[index], index, plot.unit)), ...levels],
    bands,
  };
  canvas.replaceChildren();
  const chart = new uPlot(options, drawn(plot), canvas);
  const known = plots.findIndex((other) => other.figure === figure);
  if (known >= 0) plots.splice(known, 1);
  plots.push({ figure, plot, chart, canvas });
}

function drawAll(root) {
  if (typeof uPlot === "undefined") return;
  for (const figure of root.querySelectorAll("figure.plot")) {
    if (!figure.querySelector(".uplot")) draw(figure);
  }
}

const changed = new Set();

/** Draws what has changed, once for however many points came together. */
function redraw() {
  changed.forEach(({ plot, chart }) => chart.setData(drawn(plot)));
  changed.clear();
}

/** Adds a point that came in the stream to every plot that is drawn from such points. */
function addPoint(point) {
  for (const one of plots) {
    const plot = one.plot;
    if (!plot.lines.some((line) => line.from)) continue;
    const x = point.at_ms / 1000;
    if (plot.x.length && plot.x[plot.x.length - 1] >= x) continue;
    plot.x.push(x);
    for (const line of plot.lines) line.y.push(line.from.split(".").reduce((part, name) => part?.[name], point) ?? null);
    const oldest = x - 3600;
    while (plot.x.length > 2 && plot.x[0] < oldest) {
      plot.x.shift();
      plot.lines.forEach((line) => line.y.shift());
    }
    if (changed.size === 0) requestAnimationFrame(redraw);
    changed.add(one);
  }
}

addEventListener("resize", () => {
  for (const { chart, canvas } of plots) chart.setSize({ width: canvas.clientWidth, height: 220 });
});

// What is drawn has the colours of the scheme that it was drawn in.
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => plots.slice().forEach(({ figure }) => draw(figure)));

// The chip: live, paused or stale

// In the time of this browser: when something last came, and of when is what came, and what is shown, of the brokers.
let heardAt = Date.now();
let seenAt = null;
let shownAt = null;
// How far this browser's clock is ahead of the server's.
let aheadMs = 0;
let paused = false;
let missed = [];
let dropped = false;

function hearTick({ at_ms: atMs, age_ms: ageMs }) {
  aheadMs = Date.now() - atMs;
  seenAt = ageMs == null ? null : Date.now() - ageMs;
  if (!paused) shownAt = seenAt;
}

function showChip() {
  const chip = document.getElementById("chip");
  const bar = document.getElementById("bar-numbers");
  if (!chip || !bar) return;
  const now = Date.now();
  const silent = now - heardAt > STALE_MS;
  const old = silent || (seenAt !== null && now - seenAt > STALE_MS) || bar.dataset.stale === "true" || document.querySelector("#trouble p");
  const state = paused ? "paused" : old ? "stale" : "live";
  const shown = state === "stale" && silent ? `stale: nothing for ${lasting((now - heardAt) / 1000)}` : state;
  if (chip.textContent !== shown) chip.textContent = shown;
  chip.className = `chip ${state}`;
  document.body.classList.toggle("stale", state === "stale");
  document.getElementById("bar-seen").classList.toggle("wrong", Boolean(old));
  if (shownAt !== null) document.getElementById("seen").textContent = `${old ? "stale: " : ""}${lasting((now - shownAt) / 1000)} ago`;
  chip.setAttribute("aria-pressed", String(paused));
}

/** Goes on counting what lasts still; nothing does on a page that is paused. */
function countOn() {
  if (paused) return;
  for (const one of document.querySelectorAll("[data-since-ms]")) {
    const shown = lasting((Date.now() - aheadMs - Number(one.dataset.sinceMs)) / 1000);
    if (one.textContent !== shown) one.textContent = shown;
  }
}

function onPause() {
  paused = !paused;
  if (!paused) {
    missed.forEach(addPoint);
    missed = [];
    shownAt = seenAt;
    // What was dropped is not sent again, but to who comes anew.
    if (dropped) document.getElementById("stream")._htmx?.sse?.reader?.cancel();
    dropped = false;
  }
  showChip();
}

/** Shows the way back in, to this page, when the session is over: what is asked for is refused from then on. */
function showDoor(isOver) {
  const door = document.getElementById("log-in");
  door.hidden = !isOver;
  door.href = `/login?next=${encodeURIComponent(location.pathname + location.search)}`;
}

document.addEventListener("htmx:sse:error", (event) => event.detail.status === 401 && showDoor(true));
document.addEventListener("htmx:response:error", (event) => event.detail.ctx.response.status === 401 && showDoor(true));

document.addEventListener("htmx:sse:before:message", (event) => {
  heardAt = Date.now();
  showDoor(false);
  const { event: name, data } = event.detail.message;
  if (name === "point") {
    const point = JSON.parse(data);
    paused ? missed.push(point) : addPoint(point);
  } else if (name === "tick") {
    hearTick(JSON.parse(data));
  } else if (!name && paused) {
    dropped = true;
    event.preventDefault();
  }
  showChip();
});

// A new video: its upload is shown and can be called off, and the command line follows the options

const quoted = (text) => (/^[\w.,:\/=@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

function sized(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let place = 0;
  for (; bytes >= 1024 && place < units.length - 1; place += 1) bytes /= 1024;
  return `${bytes.toFixed(place ? 1 : 0)} ${units[place]}`;
}

function lasting(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86_400)} d ${Math.floor((whole % 86_400) / 3600)} h`;
}

/** Shows the command that does what the form says. */
function showCommand(form) {
  const parts = ["spillway submit"];
  for (const field of form.querySelectorAll("[data-flag]")) {
    const value = field.type === "checkbox" ? String(field.checked) : field.value;
    if (value === "" || value === field.dataset.default) continue;
    parts.push(field.type === "checkbox" ? field.dataset.flag : `${field.dataset.flag} ${quoted(value + field.dataset.unit)}`);
  }
  parts.push(quoted(form.url.value || form.file.files[0]?.name || "FILE"));
  const shown = document.getElementById("command");
  shown.textContent = parts.join(" ") + shown.dataset.flags;
  const copy = document.getElementById("command-copy");
  copy.dataset.copy = shown.textContent;
  copy.textContent = "Copy";
}

function tellProblem(text) {
  const problem = document.getElementById("problem");
  problem.hidden = !text;
  problem.textContent = text;
}

function upload(form) {
  const file = form.file.files[0];
  const query = new URLSearchParams();
  for (const [name, value] of new FormData(form)) {
    if (typeof value === "string" && value && name !== "csrf" && name !== "url") query.append(name, value);
  }
  if (!query.get("name")) query.set("name", file.name);
  const [panel, bar, told, send] = ["upload", "upload-bar", "upload-told", "send"].map((id) => document.getElementById(id));
  const request = new XMLHttpRequest();
  const begun = performance.now();
  const end = (text) => {
    panel.hidden = true;
    send.disabled = false;
    tellProblem(text);
  };
  request.upload.onprogress = (event) => {
    const seconds = (performance.now() - begun) / 1000;
    const speed = event.loaded / Math.max(seconds, 0.001);
    const percent = event.total ? (100 * event.loaded) / event.total : 100;
    bar.value = percent;
    const left = event.loaded < event.total ? `${lasting((event.total - event.loaded) / speed)} left` : "sent; it is made safe";
    told.textContent = `${percent.toFixed(0)} %, ${sized(event.loaded)} of ${sized(event.total)}, ${sized(speed)}/s, ${left}`;
  };
  request.onload = () => {
    const place = request.getResponseHeader("Location");
    if (request.status === 202 && place) {
      location.assign(`${place}?done=accepted`);
      return;
    }
    let said = {};
    try {
      said = JSON.parse(request.responseText);
    } catch {
      // It is told by its status below.
    }
    end(said.detail ? `${said.title}. ${said.detail}` : `The service answered ${request.status} and did not say why.`);
  };
  request.onerror = () => end("The upload broke off: the service did not answer, or refused it before it was whole. Nothing was kept.");
  request.onabort = () => end("The upload was called off; nothing was kept.");
  request.open("POST", `/new?${query}`);
  request.setRequestHeader("X-CSRF-Token", document.body.dataset.csrf);
  request.setRequestHeader("Accept", "application/json");
  request.setRequestHeader("Content-Type", "application/octet-stream");
  document.getElementById("upload-stop").onclick = () => request.abort();
  tellProblem("");
  bar.value = 0;
  told.textContent = "begins";
  panel.hidden = false;
  send.disabled = true;
  request.send(file);
}

function readyNew(form) {
  form.addEventListener("input", () => showCommand(form));
  form.addEventListener("submit", (event) => {
    const both = form.file.files.length > 0 && form.url.value !== "";
    if (!both && form.file.files.length === 0) return;
    event.preventDefault();
    both ? tellProblem("Give a file or a URL, not both.") : upload(form);
  });
  const drop = document.getElementById("drop");
  for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
    form.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", name === "dragenter" || name === "dragover");
      if (name !== "drop" || event.dataTransfer.files.length === 0) return;
      form.file.files = event.dataTransfer.files;
      showCommand(form);
    });
  }
  showCommand(form);
}

// Small things

const posters = new IntersectionObserver((seen) => {
  for (const { target, isIntersecting } of seen) if (isIntersecting) target.poster = target.dataset.poster;
});

/** Lets still pictures come when they are scrolled to. */
function awaitPosters(root) {
  for (const video of root.querySelectorAll("video[data-poster]:not([poster])")) posters.observe(video);
}

/** Copies a text; browsers have their clipboard only where the page came over TLS or from this host. */
async function copied(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text).then(() => true, () => false);
  const field = document.createElement("textarea");
  const before = document.activeElement;
  field.value = text;
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  before?.focus();
  return done;
}

document.addEventListener("click", async (event) => {
  const copy = event.target.closest("[data-copy]");
  if (!copy) return;
  // A path is copied as an address that others can follow.
  const text = copy.dataset.copy.startsWith("/") ? new URL(copy.dataset.copy, location.href).href : copy.dataset.copy;
  copy.textContent = (await copied(text)) ? "Copied" : "Select it and copy it by hand";
});

document.addEventListener("htmx:after:swap", () => {
  localTimes(document);
  countOn();
  awaitPosters(document);
  drawAll(document);
  showChip();
});

/** Takes what was just done out of the address: it is not to be told again when the page is loaded again. */
function forgetDone() {
  const address = new URL(location);
  const told = ["done", "drained"].filter((name) => address.searchParams.has(name));
  told.forEach((name) => address.searchParams.delete(name));
  if (told.length) history.replaceState(history.state, "", address);
}

document.addEventListener("DOMContentLoaded", () => {
  document.body.dataset.scripts = "yes";
  const chip = document.getElementById("chip");
  chip.hidden = false;
  chip.addEventListener("click", onPause);
  forgetDone();
  const form = document.getElementById("new");
  if (form) readyNew(form);
  const ageMs = document.getElementById("seen").dataset.ageMs;
  hearTick({ at_ms: Number(document.body.dataset.atMs), age_ms: ageMs });
  localTimes(document);
  awaitPosters(document);
  drawAll(document);
  showChip();
  setInterval(() => {
    showChip();
    countOn();
  }, 1000);
});
