// Search and filter over the rows that the page holds. This script sets text only and never writes markup.
"use strict";
(() => {
  const ROWS_A_PAGE = 100;
  const byId = (id) => document.getElementById(id);
  const number = new Intl.NumberFormat("en");
  const data = JSON.parse(byId("data").textContent);
  const OUTCOME = 4;
  const [search, body, template] = [byId("search"), byId("rows"), byId("row")];

  const time = (at) => at === null ? "" : new Date(at).toISOString().slice(0, 19).replace("T", " ");

  // In the form of the page's own text.
  const took = (ms) => {
    if (ms === null) return "";
    if (ms < 1000) return `${ms}ms`;
    if (ms < 10000) return `${Math.floor(ms / 100) / 10}s`;
    const seconds = Math.floor(ms / 1000);
    const parts = [[Math.floor(seconds / 3600), "h"], [Math.floor(seconds / 60) % 60, "m"], [seconds % 60, "s"]];
    return parts.filter(([count]) => count > 0).map(([count, unit]) => count + unit).join(" ");
  };

  const fields = (row) => {
    const [source, line, conference, union, outcome, endedBy, code, status, message, request, attempts, first, end, ms] = row;
    return {
      place: `${data.texts[source]}:${line}`,
      conference_id: conference,
      union_id: data.texts[union],
      label: data.outcomes[outcome][1],
      ended_by: endedBy === null ? "" : data.ended_by[endedBy],
      code: data.texts[code],
      http_status: status === null ? "" : `HTTP ${status}`,
      message: data.texts[message],
      request_id: request,
      attempts: String(attempts),
      first_attempt_at: time(first),
      finished_at: time(end),
      duration: took(ms),
    };
  };

  // The text of each row for the search, made when it is first needed.
  let texts = null;
  const searched = () => {
    texts ??= data.rows.map((row) => `${Object.values(fields(row)).join("\n")}\n${data.outcomes[row[OUTCOME]][0]}`.toLowerCase());
    return texts;
  };

  let [matches, page] = [[], 0];

  const find = () => {
    const choice = document.querySelector("input[name=outcome]:checked").value;
    const wanted = data.outcomes.map(([name, , needsAttention]) => choice === "" || choice === name || (choice === "attention" && needsAttention));
    const words = search.value.toLowerCase().split(/\s+/).filter((word) => word !== "");
    matches = [];
    data.rows.forEach((row, index) => {
      if (wanted[row[OUTCOME]] && (words.length === 0 || words.every((word) => searched()[index].includes(word)))) {
        matches.push(index);
      }
    });
    byId("count").textContent = `${number.format(matches.length)} of ${number.format(data.rows.length)} rows`;
    show(0);
  };

  const show = (wanted) => {
    const pages = Math.max(1, Math.ceil(matches.length / ROWS_A_PAGE));
    page = Math.min(Math.max(wanted, 0), pages - 1);
    const shown = matches.slice(page * ROWS_A_PAGE, (page + 1) * ROWS_A_PAGE).map((index) => element(data.rows[index]));
    body.replaceChildren(...shown);
    byId("pages").hidden = pages === 1;
    byId("page").textContent = `Page ${number.format(page + 1)} of ${number.format(pages)}`;
    // A button that is disabled loses the focus. A reader who uses the keyboard needs it.
    byId("previous").setAttribute("aria-disabled", String(page === 0));
    byId("next").setAttribute("aria-disabled", String(page === pages - 1));
  };

  const element = (row) => {
    const shown = template.content.cloneNode(true);
    for (const [name, text] of Object.entries(fields(row))) {
      shown.querySelector(`[data-field=${name}]`).textContent = text;
    }
    shown.querySelector("[data-field=label]").classList.add(`outcome-${data.outcomes[row[OUTCOME]][0]}`);
    return shown;
  };

  const turn = (pages) => {
    show(page + pages);
    body.closest(".table").scrollIntoView({ block: "start" });
  };

  search.addEventListener("input", find);
  document.querySelector(".controls fieldset").addEventListener("change", find);
  byId("previous").addEventListener("click", () => turn(-1));
  byId("next").addEventListener("click", () => turn(1));
  document.documentElement.classList.add("scripted");
  find();
})();
