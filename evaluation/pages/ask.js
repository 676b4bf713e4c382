// A value is said when it is pointed at, or stepped to by the arrow keys within its plot or table.
"use strict";
for (const group of document.querySelectorAll(".asked")) {
  const said = group.querySelector("output"), table = group.querySelector("table");
  const drawings = [...group.querySelectorAll("svg")];
  const values = [...group.querySelectorAll("[data-source]")];
  if (drawings.length) // a drawing's marks go down the columns of its table
    values.sort((a, b) => a.closest("td").cellIndex - b.closest("td").cellIndex);
  let lit = null, place = -1;

  const marks = () => {
    const shown = drawings.find((drawing) => drawing.getClientRects().length);
    return shown ? [...shown.querySelectorAll(".mark")] : values;
  };
  const name = (value) => {
    if (value.dataset.label) return value.dataset.label;
    const cell = value.closest("td"), head = table.tHead?.rows[0].cells[cell.cellIndex];
    return [cell.parentNode.cells[0], head].map((one) => one?.textContent).filter(Boolean).join(", ");
  };
  const hide = () => {
    lit?.classList.remove("on");
    [lit, place, said.textContent] = [null, -1, ""];
  };
  const show = (next, follow) => {
    const value = values[next], all = marks();
    if (!value || next === place) return;
    hide();
    [lit, place] = [all[next], next];
    lit.classList.add("on");
    said.textContent = `${name(value)}: ${value.textContent} · ${value.title}`;
    if (follow) lit.scrollIntoView({ block: "nearest", inline: "nearest" });
  };
  const pointed = (event) => {
    if (!drawings.length) {
      const row = event.target.closest("li");
      return values.indexOf(event.target.closest("[data-source]") ?? row?.querySelector("[data-source]"));
    }
    if (!event.target.closest("svg")) return values.indexOf(event.target.closest("[data-source]"));
    const off = (at, low, high) => Math.max(low - at, at - high, 0);
    const far = marks().map((mark) => {
      const box = mark.getBoundingClientRect(), half = mark.matches("circle") ? box.width / 2 : 0; // a point has no extent
      const across = off(event.clientX, box.left + half, box.right - half);
      return Math.hypot(across, off(event.clientY, box.top + half, box.bottom - half) / 4);
    });
    return far.indexOf(Math.min(...far));
  };
  for (const kind of ["pointermove", "pointerdown"]) group.addEventListener(kind, (event) => show(pointed(event)));
  group.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && hide());
  group.addEventListener("blur", hide);
  group.addEventListener("focus", () => group.matches(":focus-visible") && show(0));
  group.addEventListener("keydown", (event) => {
    const last = values.length - 1;
    const next = { ArrowRight: place + 1, ArrowDown: place + 1, ArrowLeft: place - 1, ArrowUp: place - 1, Home: 0, End: last }[event.key];
    if (event.key === "Escape") hide();
    if (next === undefined || event.target !== group || last < 0) return;
    event.preventDefault();
    show(Math.min(Math.max(next, 0), last), true);
  });
}
