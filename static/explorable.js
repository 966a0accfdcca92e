/* What the book's explorables share: elements, two controls, a line that is read out, and how a
 * custom element takes the place of its static tables. Loaded before the script of each of them.
 */
window.lmExplorable = (() => {
  "use strict";

  /* A function that makes an element: make("p", { class: "gloss", aria: { live: "polite" } }, child …).
   * Class names get the prefix; "x-note" is one of those in explorable.css. */
  const maker = prefix => (tag, props = {}, ...children) => {
    const { class: names, aria = {}, ...rest } = props, e = Object.assign(document.createElement(tag), rest);
    if (names) e.className = names.split(" ").map(name => (name.startsWith("x-") ? "lm-" : prefix) + name).join(" ");
    for (const k in aria) e.setAttribute(k === "role" ? k : "aria-" + k, aria[k]);
    e.append(...children);
    return e;
  };
  const make = maker("lm-x-");

  const plural = (n, one) => `${n.toLocaleString("en")} ${one}${n === 1 ? "" : "s"}`;

  /* A named row of buttons, from pairs of content and act. */
  const choices = (label, pairs) => make("div", { class: "choices", aria: { role: "group", label } }, make("span", { aria: { hidden: true } }, label),
    ...pairs.map(([content, onclick]) => make("button", { type: "button", onclick }, ...[].concat(content))));

  /* A slider with its label and its value in words; all of it is in `row`. */
  const slider = (id, label, act, props = {}) => {
    const input = make("input", { id, type: "range", min: 0, oninput: () => act(Number(input.value)), ...props }), out = make("output", { htmlFor: id });
    return { input, out, row: make("div", { class: "slider" }, make("label", { htmlFor: id }, label), out, input) };
  };

  let made = 0;
  /* build(first, id) returns the children of the live part, this.says among them; summary(view) the
   * parts of the line that is read out; show(view) draws. */
  class Explorable extends HTMLElement {
    connectedCallback() {
      if (this.live) return; // moved, not new
      const first = JSON.parse(this.dataset.view);
      this.says = make("p", { class: "says", aria: { live: "polite" } });
      this.live = make("div", { class: "live" }, ...this.build(first, "lm-x-" + ++made));
      this.says.append(...this.summary(first)); // at once: what is there from the start is not announced
      this.show(first);
      this.append(this.live);
      this.classList.add("lm-x-on"); // hides the static tables, except in print
    }

    say(parts) {
      clearTimeout(this.speaking); // a screen reader hears the last of a quick series
      const text = parts.map(part => part.textContent ?? part).join("");
      this.speaking = setTimeout(() => { if (this.says.textContent !== text) this.says.replaceChildren(...parts); }, 200);
    }
  }
  return { Explorable, maker, plural, choices, slider };
})();
