// The form works without this file: each button asks the server for the whole page. With it buttons
// that change the form keep the place and the focus, and what the form means follows what is typed.
const WAIT_MS = 300;
const PAGE_MS = 60_000;

const content = document.getElementById("content");
let timer = 0;
let newest = 0;

const formNow = () => document.getElementById("policy");

// Fields are named by their path: triggers.0.conditions.1.values
function nested(form) {
  const root = {};
  for (const [name, value] of new FormData(form)) {
    const steps = name.split(".");
    let inner = root;
    for (const step of steps.slice(0, -1)) inner = inner[step] ??= {};
    inner[steps.at(-1)] = value.replaceAll("\r\n", "\n");
  }
  return listed(root);
}

function listed(value) {
  if (typeof value === "string") return value;
  const keys = Object.keys(value);
  if (keys.length && keys.every((key) => /^\d+$/.test(key))) {
    return keys.sort((one, other) => one - other).map((key) => listed(value[key]));
  }
  return Object.fromEntries(keys.map((key) => [key, listed(value[key])]));
}

function made(tag, ...parts) {
  const element = document.createElement(tag);
  element.append(...parts);
  return element;
}

function show(found) {
  document.getElementById("yaml").textContent = found.yaml;
  document.getElementById("standing").textContent = found.valid
    ? "It is valid."
    : `It is no policy yet: ${found.faults.length} to put right.`;
  const wrong = document.getElementById("wrong");
  wrong.hidden = found.valid;
  wrong.replaceChildren(
    ...found.faults.map((fault) => {
      const link = made("a", fault.key || "policy");
      link.href = `#${fault.field || "policy"}`;
      return made("li", link, ` ${fault.reason}${fault.allowed ? `. Allowed: ${fault.allowed}` : ""}`);
    }),
  );
  document.getElementById("tags").replaceChildren(
    ...found.examples.map((each) => {
      const result = made(each.tag ? "b" : "span", each.tag || each.problem);
      if (!each.tag) result.className = "error";
      return made("li", made("code", each.template), `: ${each.source_tag} → `, result);
    }),
  );
  const shown = new Intl.DateTimeFormat("en-GB", { dateStyle: "full", timeStyle: "short", timeZone: found.timezone });
  const times = found.next_runs.map((each) => made("li", `${shown.format(new Date(each))} ${found.timezone}`));
  document.getElementById("runs").replaceChildren(...(times.length ? times : [made("li", "When somebody triggers it.")]));
}

async function preview() {
  const form = formNow();
  const number = ++newest;
  try {
    const answer = await fetch(form.dataset.preview, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ form: nested(form), policy: form.dataset.policy }),
    });
    if (!answer.ok) return;
    const found = await answer.json();
    if (number === newest) show(found);
  } catch {
    // The server is away; what was shown last stays.
  }
}

function focusOn(element) {
  if (!element) return;
  const around = element.closest("details");
  if (around) around.open = true;
  element.focus({ preventScroll: false });
}

// Puts the answer in the place of the page, and the focus where it says.
async function ask(form, button) {
  const body = new URLSearchParams(new FormData(form, button));
  const giveUp = AbortSignal.timeout(PAGE_MS);
  const answer = await fetch(form.action, { method: "POST", body, signal: giveUp });
  const type = answer.headers.get("Content-Type") || "";
  if (answer.redirected) {
    location.assign(answer.url);
    return;
  }
  if (!type.startsWith("text/html")) throw new TypeError(type);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const opened = new Set([...document.querySelectorAll("details[open] > summary")].map((each) => each.textContent));
  content.replaceChildren(...page.getElementById("content").childNodes);
  for (const each of document.querySelectorAll("details > summary")) {
    if (opened.has(each.textContent)) each.parentElement.open = true;
  }
  ready();
  const same = button.value && [...document.querySelectorAll("button[name=do]")].find((each) => each.value === button.value && !each.hasAttribute("aria-hidden"));
  focusOn(document.querySelector("[autofocus]") || document.getElementById("faults") || same);
  const said = document.getElementById("said");
  const text = said.textContent;
  said.textContent = "";
  requestAnimationFrame(() => {
    said.textContent = text;
  });
}

function ready() {
  const copy = document.getElementById("copy");
  if (copy) copy.hidden = false;
}

async function copied() {
  const yaml = document.getElementById("yaml");
  const said = document.getElementById("said");
  try {
    await navigator.clipboard.writeText(yaml.textContent);
    said.textContent = "Copied.";
    document.getElementById("copy").textContent = "Copied";
  } catch {
    // Without https there is no clipboard; then the text is selected, to be copied by hand.
    getSelection().selectAllChildren(yaml);
    document.getElementById("copy").textContent = "Selected: copy it now";
  }
}

// Names of repositories, from the registry behind the connection that is chosen.
async function list(field) {
  const names = document.getElementById(field.getAttribute("list"));
  const connection = names?.dataset.of && document.getElementById(names.dataset.of).value.trim();
  if (!connection) return;
  const asked = `${connection} ${field.value}`;
  const within = names.dataset.whole;
  if (names.dataset.asked === asked || (within !== undefined && asked.startsWith(within))) return;
  names.dataset.asked = asked;
  try {
    const query = new URLSearchParams({ prefix: field.value });
    const address = formNow().dataset.connections + encodeURIComponent(connection);
    const answer = await fetch(`${address}/repositories?${query}`);
    if (!answer.ok || names.dataset.asked !== asked) return;
    const found = await answer.json();
    names.replaceChildren(...found.names.map((name) => Object.assign(document.createElement("option"), { value: name })));
    if (found.is_complete) names.dataset.whole = asked;
    else delete names.dataset.whole;
  } catch {
    // The field stays plain text.
  }
}

content.addEventListener("submit", async (event) => {
  const { target: form, submitter: button } = event;
  if (form.id !== "policy" || !button || button.value === "download") return;
  event.preventDefault();
  newest += 1;
  clearTimeout(timer);
  content.setAttribute("aria-busy", "true");
  try {
    await ask(form, button);
  } catch {
    // Then the browser asks itself, and shows what becomes of it.
    const plain = made("input");
    Object.assign(plain, { type: "hidden", name: "do", value: button.value });
    form.append(plain);
    form.submit();
  } finally {
    content.removeAttribute("aria-busy");
  }
});

content.addEventListener("input", (event) => {
  const field = event.target;
  if (field.form?.id !== "policy") return;
  if (field.id === "cron" && field.value) document.getElementById("schedule").value = "cron";
  clearTimeout(timer);
  timer = setTimeout(() => {
    preview();
    if (field.list?.dataset.of) list(field);
  }, WAIT_MS);
});

content.addEventListener("focusin", (event) => {
  if (event.target.list?.dataset.of) list(event.target);
});

content.addEventListener("click", (event) => {
  if (event.target.id === "copy") copied();
  const link = event.target.closest('a[href^="#"]');
  const field = link && document.getElementById(decodeURIComponent(link.hash.slice(1)));
  if (field) {
    event.preventDefault();
    focusOn(field.matches("input, select, textarea, [tabindex]") ? field : field.querySelector("input:not([type=hidden]), select, textarea, button"));
  }
});

ready();
