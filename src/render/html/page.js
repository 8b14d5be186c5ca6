"use strict";
// Filter, open and close, keys, theme. Without this the page is read all the same.
(() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const one = (id) => document.getElementById(id);
  const form = one("filter"), vm = one("filter-vm"), host = one("filter-host"), shown = one("shown");
  const isVisible = (element) => element.checkVisibility({ contentVisibilityAuto: false });

  // --- Filter: what names a VM shows by its name, what names hosts by its hosts; a host's card by itself.
  const entries = all("[data-vm], [data-hosts]").map((element) => ({
    element,
    vm: element.dataset.vm?.toLowerCase(),
    hosts: element.dataset.hosts,
    isMove: element.classList.contains("move"),
  }));
  const moves = entries.filter((entry) => entry.isMove);

  // VMs within a host's card follow their name alone: their hosts are said around them.
  const fits = (entry, text, on) =>
    (text === "" || entry.vm === undefined || entry.vm.includes(text)) &&
    (on === "" || entry.hosts === undefined || entry.hosts.includes(` ${on} `));

  const filter = () => {
    const text = vm.value.trim().toLowerCase(), on = host.value;
    for (const entry of entries) entry.element.hidden = !fits(entry, text, on);
    for (const group of all(".group")) group.hidden = all("li", group).every((line) => line.hidden);
    for (const part of all(".part")) {
      part.hidden = all(".lane", part).every((lane) => lane.hidden);
      if (text !== "" || on !== "") part.open = true;
    }
    // A VM that goes by way of another host has two lines.
    const vms = (entries) => new Set(entries.map((entry) => entry.vm)).size;
    const left = vms(moves.filter((entry) => !entry.element.hidden));
    const number = (count) => count.toLocaleString("en");
    shown.value = text === "" && on === "" ? "" : `${number(left)} of ${number(vms(moves))} VMs`;
  };
  let waits = 0;
  const soon = () => {
    cancelAnimationFrame(waits);
    waits = requestAnimationFrame(filter);
  };
  form.addEventListener("input", soon);
  form.addEventListener("reset", () => setTimeout(filter));
  form.addEventListener("submit", (event) => event.preventDefault());

  // --- Open and close.
  const setAll = (open) => {
    for (const entry of moves) if (!entry.element.hidden) entry.element.open = open;
    for (const group of all(".group")) if (!group.hidden) group.open = open;
  };
  one("open").addEventListener("click", () => setAll(true));
  one("close").addEventListener("click", () => setAll(false));

  // A link to something that is folded or filtered away shows it.
  const reveal = () => {
    const target = location.hash.length > 1 && one(location.hash.slice(1));
    if (!target) return;
    for (let around = target; around; around = around.parentElement) {
      if (around.hidden) form.reset();
      if (around.tagName === "DETAILS") around.open = true;
    }
    target.scrollIntoView({ block: target.tagName === "SECTION" ? "start" : "nearest" });
    target.querySelector?.(":scope > summary")?.focus({ preventScroll: true });
  };
  addEventListener("hashchange", reveal);
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href^='#']");
    // A second click on the same link changes no address.
    if (link && (link.href.baseVal ?? link.getAttribute("href")) === location.hash) reveal();
  });

  // --- Keys.
  const go = (step) => {
    const stops = all("main summary").filter(isVisible);
    const at = stops.indexOf(document.activeElement);
    const next = stops[at === -1 ? (step > 0 ? 0 : stops.length - 1) : at + step];
    next?.focus();
    next?.scrollIntoView({ block: "nearest" });
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const types = event.target.matches?.("input, select, textarea");
    if (event.key === "Escape" && (vm.value !== "" || host.value !== "")) form.reset();
    else if (types) return;
    else if (event.key === "/") vm.focus();
    else if (event.key === "ArrowDown" && document.activeElement?.tagName === "SUMMARY") go(1);
    else if (event.key === "ArrowUp" && document.activeElement?.tagName === "SUMMARY") go(-1);
    else return;
    event.preventDefault();
  });

  // --- Theme: as the system says, until somebody says otherwise. Where nothing may be kept, it lasts for this visit.
  const themes = ["system", "light", "dark"], key = "domicile-theme", button = one("theme");
  let theme = "system";
  try { theme = localStorage.getItem(key) ?? theme; } catch { /* not allowed here */ }
  const show = () => {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    button.textContent = `Theme: ${theme}`;
  };
  const turn = () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    try { localStorage.setItem(key, theme); } catch { /* not allowed here */ }
    show();
  };
  button.addEventListener("click", turn);

  show();
  for (const control of [form, button, document.querySelector(".keys")]) control.hidden = false;
  reveal();
})();
