/* What the frame does beyond HTML: the colour scheme, copy buttons, "you are here", scrollable
   boxes for the keyboard, and opened folds in print. Without it everything can still be read. */
(() => {
  "use strict";
  const root = document.documentElement;
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];

  // ---------------------------------------------------------------- every word the reader sees
  const SAY = { copy: "Copy", copied: "Copied", failed: "Select and copy", wide: "Scrolls sideways" };

  // Light or dark: the system's choice until the reader makes another one.
  const system = matchMedia("(prefers-color-scheme: dark)");
  const button = document.querySelector(".lm-theme");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const show = () => button.setAttribute("aria-pressed", isDark());
  button.hidden = false;
  button.addEventListener("click", () => {
    const dark = !isDark();
    if (dark === system.matches) delete root.dataset.theme;
    else root.dataset.theme = dark ? "dark" : "light";
    try {
      if (root.dataset.theme) localStorage.setItem("lm-scheme", root.dataset.theme);
      else localStorage.removeItem("lm-scheme");
    } catch { /* a browser that keeps nothing still switches this page */ }
    show();
  });
  system.addEventListener("change", show);
  show();

  // Copy buttons, where the browser lets a page write to the clipboard.
  if (navigator.clipboard) {
    for (const box of all("div.highlight")) {
      if (box.closest(".cell_output")) continue;
      const copy = document.createElement("button");
      copy.type = "button";
      copy.className = "lm-copy";
      copy.textContent = SAY.copy;
      copy.addEventListener("click", async () => {
        try {
          await navigator.clipboard.writeText(box.querySelector("pre").innerText);
          copy.textContent = SAY.copied;
        } catch {
          copy.textContent = SAY.failed;
        }
        setTimeout(() => (copy.textContent = SAY.copy), 2000);
      });
      box.append(copy);
    }
  }

  // A box that scrolls sideways must be reachable by keyboard; one that does not, must not.
  const boxes = all("pre, .lm-scroll, .cell_output .text_html");
  const mark = () => {
    const wide = boxes.map((box) => box.scrollWidth > box.clientWidth);
    boxes.forEach((box, i) => {
      if (!wide[i]) {
        for (const name of ["tabindex", "role", "aria-label"]) box.removeAttribute(name);
      } else if (box.tabIndex < 0) {
        box.tabIndex = 0;
        box.setAttribute("role", "group");
        box.setAttribute("aria-label", SAY.wide);
      }
    });
  };
  new ResizeObserver(mark).observe(document.querySelector("main"));

  // Mark the section being read in the list of sections; choosing one closes the list on a phone.
  const toc = document.getElementById("lm-toc");
  if (toc) {
    const links = new Map(all("a[href^='#']", toc).map((a) => [a.hash.slice(1), a]));
    const heads = all("main section[id]").filter((s) => links.has(s.id));
    const seen = new Set();
    const watch = new IntersectionObserver((entries) => {
      for (const e of entries) e.isIntersecting ? seen.add(e.target) : seen.delete(e.target);
      const here = heads.filter((s) => seen.has(s)).pop();
      for (const a of links.values()) a.removeAttribute("aria-current");
      if (here) links.get(here.id).setAttribute("aria-current", "true");
    }, { rootMargin: "-15% 0px -80% 0px" });
    heads.forEach((s) => watch.observe(s));
    toc.addEventListener("click", (e) => {
      if (e.target.closest("a") && toc.matches(":popover-open")) toc.hidePopover();
    });
  }

  // "/" goes to the search field, as on many sites.
  addEventListener("keydown", (e) => {
    if (e.key !== "/" || e.ctrlKey || e.metaKey || e.altKey) return;
    if (e.target.closest("input, textarea, select, [contenteditable]")) return;
    const field = all("input[name=q]").find((f) => f.checkVisibility());
    if (field) {
      e.preventDefault();
      field.focus();
    }
  });

  // Printed folds are open; links into a fold open it.
  addEventListener("beforeprint", () => all("details").forEach((d) => (d.open = true)));
  const reveal = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (let d = target?.closest("details:not([open])"); d; d = d.parentElement?.closest("details")) d.open = true;
    target?.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  if (location.hash) reveal();
})();
