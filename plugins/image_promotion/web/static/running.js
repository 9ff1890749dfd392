// Shows how far copies have come: often while some run, seldom while none does, never unseen.
const OFTEN_MS = 2000;
const SELDOM_MS = 15000;
for (const place of document.querySelectorAll("[data-running]")) {
  const number = () => Number(place.querySelector("[data-running-copies]")?.dataset.runningCopies ?? 0);
  const ended = document.createElement("p");
  ended.className = "note";
  ended.setAttribute("role", "status");
  place.after(ended);
  let timer;
  const look = async () => {
    const before = number();
    try {
      const answer = await fetch(place.dataset.running, { credentials: "same-origin" });
      // Whoever has been signed out sees what was there; the next page says so.
      if (answer.status === 401 || answer.status === 403) return;
      if (answer.ok) {
        const found = new DOMParser().parseFromString(await answer.text(), "text/html");
        place.replaceChildren(...found.body.childNodes);
      }
    } catch {
      // The server is gone for a moment.
    }
    if (number() < before) {
      const link = document.createElement("a");
      link.href = location.href;
      link.textContent = "Load the page again";
      ended.replaceChildren("Copies have ended. ", link, " to see what came of them.");
    }
    wait();
  };
  const wait = () => {
    clearTimeout(timer);
    if (!document.hidden) timer = setTimeout(look, number() ? OFTEN_MS : SELDOM_MS);
  };
  document.addEventListener("visibilitychange", wait);
  wait();
}
