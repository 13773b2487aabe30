// Shows what /v1/datasets tells, again and again. Loads nothing from elsewhere.
"use strict";

const PAUSE_MS = 1000;
let token = "";

function element(id) {
  return document.getElementById(id);
}

function bytes(count) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let at = 0;
  while (count >= 1000 && at + 1 < units.length) {
    count /= 1000;
    at += 1;
  }
  return (at === 0 ? count : count.toFixed(1)) + " " + units[at];
}

function time(ms) {
  return ms < 1000 ? ms + " ms" : (ms / 1000).toFixed(1) + " s";
}

// A value that is not known yet is shown as a dash.
function shown(value, as) {
  return value === undefined || value === null ? "–" : as(value);
}

function count(number) {
  return number.toLocaleString("en");
}

function row(dataset) {
  const row = document.createElement("tr");
  const cell = (text) => {
    const cell = document.createElement("td");
    cell.textContent = text;
    row.append(cell);
    return cell;
  };
  cell(dataset.dataset);
  const condition = cell(dataset.condition);
  condition.className = dataset.condition;
  for (const reason of [...dataset.reasons, ...dataset.notes]) {
    const line = document.createElement("span");
    line.className = "reason";
    line.textContent = reason;
    condition.append(line);
  }
  cell(shown(dataset.version, count));
  cell(shown(dataset.staleness_ms, time));
  cell(shown(dataset.refreshes, count));
  cell(shown(dataset.records, count));
  cell(shown(dataset.state_bytes, bytes));
  cell(shown(dataset.attached_readers, count));
  return row;
}

function show(told) {
  element("id").textContent = told.id;
  element("told").className = "";
  element("told").textContent =
    "Up for " + count(told.uptime_seconds) + " s, " + bytes(told.memory_bytes) + " of memory.";
  element("datasets").replaceChildren(...told.datasets.map(row));
  document.body.dataset.shown = "yes";
}

async function ask() {
  try {
    const headers = token ? { authorization: "Bearer " + token } : {};
    const answer = await fetch("/v1/datasets", { headers, cache: "no-store" });
    element("login").hidden = answer.status !== 401;
    if (!answer.ok) {
      throw new Error("the sidecar answers " + answer.status);
    }
    show(await answer.json());
  } catch (error) {
    element("told").className = "away";
    element("told").textContent = "Not told anything: " + error.message;
  }
  setTimeout(ask, PAUSE_MS);
}

element("login").addEventListener("submit", (event) => {
  event.preventDefault();
  token = element("token").value;
});
ask();
