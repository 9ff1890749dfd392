// Airflow's frame may not lead its page elsewhere; its page can be asked to follow a link itself.
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-airflow]");
  if (!link || window.parent === window || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
  try {
    const outside = window.parent.document.createElement("a");
    outside.href = link.href;
    window.parent.document.body.append(outside);
    outside.click();
    outside.remove();
    event.preventDefault();
  } catch {
    // Then it opens within the frame.
  }
});

// A whole digest leads to its image, a part of one to the history.
for (const form of document.querySelectorAll("form[data-image]")) {
  form.addEventListener("submit", (event) => {
    const digest = form.elements.digest.value.trim();
    if (!/^[a-z0-9]+([+._-][a-z0-9]+)*:[0-9a-f]{32,}$/.test(digest)) return;
    event.preventDefault();
    location.assign(form.dataset.image + digest);
  });
}

// What takes a while says so, and is not asked for twice.
for (const form of document.querySelectorAll("form[data-busy]")) {
  form.addEventListener("submit", () => {
    const said = form.querySelector("[data-busy-text]");
    said.textContent = said.dataset.busyText;
    // Not at once: a button that is disabled is not sent along.
    setTimeout(() => form.querySelector("button").setAttribute("disabled", ""));
  });
}
