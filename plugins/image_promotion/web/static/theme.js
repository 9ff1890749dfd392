// Airflow keeps the theme it was set to under "theme" and shows it as a class of its page.
(() => {
  const known = (name) => (name === "light" || name === "dark" ? name : "");
  const inAirflow = () => {
    try {
      const classes = window.parent === window ? [] : window.parent.document.documentElement.classList;
      return [...classes].map(known).find(Boolean) || known(localStorage.getItem("theme"));
    } catch {
      return "";
    }
  };
  const follow = () => {
    const theme = inAirflow();
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
  };
  follow();
  addEventListener("storage", (event) => {
    if (event.key === "theme") follow();
  });
  try {
    if (window.parent !== window) {
      const watch = new MutationObserver(follow);
      watch.observe(window.parent.document.documentElement, { attributeFilter: ["class"] });
      addEventListener("pagehide", () => watch.disconnect());
    }
  } catch {
    // Not in Airflow's page: the browser's own preference holds.
  }
})();
