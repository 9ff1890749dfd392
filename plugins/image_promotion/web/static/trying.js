// Names to pick from are asked for as they are typed; without them the fields are plain text.
const WAIT_MS = 250;

for (const field of document.querySelectorAll("input[data-names]")) {
  const list = document.getElementById(field.getAttribute("list"));
  const said = document.querySelector(`[data-said-of="${list.id}"]`);
  const outer = field.dataset.within && document.getElementById(field.dataset.within);
  let known = null;
  let timer = 0;
  let newest = 0;

  async function load() {
    const prefix = field.value;
    const within = outer ? outer.value.trim() : "";
    if (outer && !within) return;
    // What was listed whole has all that begins so.
    if (known && known.within === within && known.whole && prefix.startsWith(known.prefix)) return;
    const number = ++newest;
    const query = new URLSearchParams({ prefix });
    if (within) query.set("repository", within);
    try {
      const answer = await fetch(`${field.dataset.names}?${query}`);
      if (number !== newest || !answer.ok) return;
      const found = await answer.json();
      list.replaceChildren(...found.names.map((name) => Object.assign(document.createElement("option"), { value: name })));
      if (said) said.textContent = found.problem;
      known = { prefix, within, whole: found.is_complete };
    } catch {
      // The server is away; the field stays what it is.
    }
  }

  field.addEventListener("focus", load);
  field.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(load, WAIT_MS);
  });
}

// Registries may take a while.
for (const form of document.querySelectorAll("form[data-patient]")) {
  const patience = form.querySelector(".patience");
  form.addEventListener("submit", () => {
    patience.textContent = form.dataset.patient;
  });
  addEventListener("pageshow", () => {
    patience.textContent = "";
  });
}
