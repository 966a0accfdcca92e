/* <lm-map-browser>: two maps of depth and learning rate, and the runs behind each cell.
 * <lm-float-microscope>: a variance in float32, five ways, and its bits.
 *
 * lmlib/layernorm_explorer.py writes the elements with their data and defines what a cell is called;
 * the variances follow lmlib/layernorm/variance.py to the last bit.
 */
(() => {
  "use strict";
  const { Explorable, maker, choices, slider } = lmExplorable, make = maker("lm-m-");

  // ---------------------------------------------------------------- every word the reader sees
  const signed = text => String(text).replace("-", "−");
  const short = v => signed(Number(v.toPrecision(7))); // what a float32 has
  const num = (v, digits = 13) => signed(v.toLocaleString("en", { maximumSignificantDigits: digits }));
  const worth = v => num(v, v < 1 ? 3 : 13);
  const SAY = {
    design: ["First design", "Second design"], compare: "Compare",
    pairs: [["post", "pre"], ["none", "none scaled"], ["pre", "none scaled"], ["post", "post warm-up"], ["pre", "pre RMSNorm"]], with: " / ",
    map: name => `${name}: held-out loss by depth and learning rate`, depth: "depth", axes: "depth ↑ learning rate →",
    counts: (learned, diverged, of) => `learned in ${learned} of ${of}` + (diverged ? `, diverged in ${diverged}` : ""),
    legend: (levels, guessing) => [...levels, guessing.toFixed(2)].map(level => `below ${level}`).concat("no better than guessing", "diverged"),
    learned: "learned", bad: "no better than guessing", collapsed: "collapsed", diverged: "diverged", count: (k, of, word) => `${k} of ${of} ${word}`,
    cell: (depth, rate) => `Depth ${depth}, learning rate ${rate}. `,
    numbers: (mean, spread, dependence) => `, held-out loss ${mean.toFixed(2)} ± ${spread.toFixed(2)}, dependence ${dependence.toFixed(2)}`,
    curves: "Training loss in nats, every seed", step: "step", guessing: g => `guessing ${g.toFixed(2)}`,
    seeds: "held out, each seed: ", none: "not a number",
    mapNote: "Point at a cell, tap it, or use the arrow keys. Dependence, from 0 to 1, says how far predictions depend on what is read: a collapsed model says the same whatever it reads. One diverged seed makes a cell diverged.",
    offset: "Offset, added to every number: ", tries: "Try", jump: "next offset with a negative variance", draw: "other numbers", never: "With these numbers it is never negative. Try others.",
    stored: (values, offset, x, step) => `${values.map(signed).join(", ")}, each plus ${num(offset)}, become in float32 ${x.map(v => num(v, 9)).join(", ")}: multiples of ${worth(step)}.`,
    ways: ["mean of x² − (mean of x)²", "the same, of x − x₁", "value after value", "mean, then squares", "mean taken off twice"],
    way: ["In float32", "variance", "relative error"],
    exact: "exact variance", squares: "mean of x²", square: "(mean of x)²", less: "their difference", worth: (v, lsb) => `${num(v)}; its last bit is worth ${worth(lsb)}`,
    bits: "What there is to subtract, in bits", power: (base, p) => p ? base + String(p).replace(/./g, d => d === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[d]) : "1",
    key: ["equal in both: cancels", "left to subtract", "not stored"], below0: ", negative",
    errors: "Relative error by offset", negative: "the naive variance is negative",
    bitsNote: "A float32 keeps 24 bits. The variance stays in its place near 1; the squares grow to the left and take their 24 bits with them.",
    at: (offset, naive, exact) => `At offset ${num(offset)} the naive variance is ${short(naive)}; exact is ${short(exact)}. `,
    below: "It is negative, which no mean of squares can be: the standard deviation, its root, is NaN.",
    zero: "Numbers that differ count as equal: dividing by their deviation divides by zero.",
    far: error => `It is wrong by ${percent(error)}: most of the bits that hold the spread were not stored.`,
    fair: error => `It is wrong by ${percent(error)}.`, good: "All five agree to six digits.",
  };
  const percent = error => `${signed(Number((100 * error).toPrecision(2)))}\u00a0%`;
  const size = v => signed(v && v < .01 ? v.toExponential(0) : Number(v.toPrecision(1)));

  // ---------------------------------------------------------------------------------- the drawing
  const svg = (tag, attributes, ...children) => {
    const e = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const k in attributes) e.setAttribute(k, attributes[k]);
    e.append(...children);
    return e;
  };

  /* Lines over ticks; places are fractions of the box, so letters keep their size on every screen. */
  const chart = (xTicks, yTicks) => {
    const lines = svg("svg", { viewBox: "0 0 1 1", preserveAspectRatio: "none" }), over = make("div", { class: "over" });
    const tick = axis => ([at, text]) => { const e = make("span", { class: axis + (at < 1 ? "" : " end") }, text); e.style[axis === "x" ? "left" : "bottom"] = 100 * at + "%"; return e; };
    const box = make("div", { class: "chart", aria: { role: "img" } }, ...xTicks.map(tick("x")), ...yTicks.map(tick("y")), lines, over);
    return { box, over, draw(paths, text) {
      box.ariaLabel = text;
      lines.replaceChildren(...paths.map(([kind, points]) => svg("path", { class: "lm-m-" + kind, d: points.map(([x, y], k) => `${k ? "L" : "M"}${x.toFixed(4)} ${(1 - y).toFixed(4)}`).join("") })));
    } };
  };

  // -------------------------------------------------------------------------------------- the maps
  const average = values => values.reduce((a, b) => a + b, 0) / values.length;

  /* verdict() of lmlib.layernorm_explorer, with the kind of cell that the map shows. */
  const judge = (data, design, row, column) => {
    const losses = data.held_out[design][row][column], dependence = data.dependence[design][row][column], of = losses.length;
    const broken = losses.filter(v => !(v !== null && v < data.diverged)).length;
    if (broken) return { kind: "diverged", losses, says: SAY.count(broken, of, SAY.diverged) };
    const failed = dependence.filter((_, k) => !(losses[k] < data.guessing)), mean = average(losses);
    const numbers = { losses, mean, spread: (Math.max(...losses) - Math.min(...losses)) / 2, dependence: average(dependence) };
    if (!failed.length) return { ...numbers, kind: "shade" + data.levels.filter(level => level <= mean).length, says: SAY.learned };
    return { ...numbers, kind: "bad", says: SAY.count(failed.length, of, failed.every(d => d < data.collapsed) ? SAY.collapsed : SAY.bad) };
  };

  const TOP = 5.2, BOTTOM = 2.2; // nats, of the curves

  customElements.define("lm-map-browser", class extends Explorable {
    build(first, id) {
      Object.assign(this, { data: first, names: Object.keys(first.designs), row: first.depths.length >> 1, column: first.rates.length >> 1 });
      const bytes = atob(first.curves);
      this.loss = k => (bytes.charCodeAt(2 * k) | bytes.charCodeAt(2 * k + 1) << 8) / 1e4;
      const name = at => this.names[at];
      this.panels = [0, 1].map(side => {
        const select = make("select", { id: id + side, onchange: () => this.update() }, ...this.names.map(text => make("option", {}, text)));
        select.value = first.shown[side];
        const what = make("p", { class: "what" }), counts = make("span"), cells = [];
        const rows = first.depths.map((depth, row) => make("tr", {}, make("th", { scope: "row" }, depth), ...first.rates.map((rate, column) => {
          const cell = make("td", { tabIndex: -1, aria: { role: "gridcell" }, onfocus: () => this.choose(row, column), onclick: () => this.choose(row, column), onpointerenter: e => e.pointerType === "mouse" && this.choose(row, column) });
          (cells[row] ||= [])[column] = cell;
          return cell;
        })));
        const head = make("tr", {}, make("th", { scope: "col" }, make("span", { class: "away" }, SAY.depth)), ...first.rates.map(rate => make("th", { scope: "col" }, rate)));
        const table = make("table", { aria: { role: "grid" }, onkeydown: e => this.step(e, side) }, make("thead", {}, head), make("tbody", {}, ...rows.reverse()));
        return { select, what, counts, cells, table, box: make("div", {}, make("label", { htmlFor: id + side }, make("i", { class: `swatch side${side}`, aria: { hidden: true } }), SAY.design[side]), select, what,
          table, make("p", { class: "axis", aria: { hidden: true } }, SAY.axes), counts) };
      });
      const pairs = SAY.pairs.map(pair => [pair.join(SAY.with), () => { this.panels.forEach((panel, side) => { panel.select.value = pair[side]; }); this.update(); }]);
      const last = first.steps.at(-1), y = v => (v - BOTTOM) / (TOP - BOTTOM);
      this.chart = chart([1, 100, last].map(s => [s / last, s === last ? `${SAY.step} ${s}` : s]), [2.5, 3, 3.5, 4, 4.5, 5].map(v => [y(v), v]));
      this.points = (design, seed) => first.steps.map((step, k) => {
        const run = ((design * first.depths.length + this.row) * first.rates.length + this.column) * first.held_out[0][0][0].length + seed;
        return [step / last, y(this.loss(run * first.steps.length + k))];
      });
      const guessing = make("span", { class: "guessing" }, SAY.guessing(first.guessing));
      guessing.style.bottom = 100 * y(first.guessing) + "%";
      this.chart.over.append(guessing);
      this.runs = [0, 1].map(side => make("li", { class: "side" + side }));
      const kinds = [0, 1, 2, 3].map(k => "shade" + k).concat("bad", "diverged");
      return [
        choices(SAY.compare, pairs), make("div", { class: "maps" }, ...this.panels.map(panel => panel.box)),
        make("ul", { class: "legend" }, ...SAY.legend(first.levels, first.guessing).map((text, k) => make("li", {}, make("i", { class: "cell " + kinds[k], aria: { hidden: true } }), text))),
        this.says, make("p", { class: "x-title" }, SAY.curves), this.chart.box, make("ul", { class: "runs" }, ...this.runs),
        make("p", { class: "x-note" }, SAY.mapNote),
      ];
    }

    judge(design, row, column) { return judge(this.data, this.names.indexOf(design), row, column); }
    get shown() { return this.panels.map(panel => panel.select.value); }

    choose(row, column) { if (row !== this.row || column !== this.column) { Object.assign(this, { row, column }); this.update(); } }

    step(event, side) {
      const move = { ArrowUp: [1, 0], ArrowDown: [-1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1], Home: [0, -9], End: [0, 9] }[event.key];
      if (!move) return;
      event.preventDefault();
      const within = (at, by, length) => Math.min(Math.max(at + by, 0), length - 1);
      const { depths, rates } = this.data;
      this.panels[side].cells[within(this.row, move[0], depths.length)][within(this.column, move[1], rates.length)].focus();
    }

    update() { this.show(); this.say(this.summary()); }

    summary() {
      const { depths, rates } = this.data;
      return [SAY.cell(depths[this.row], rates[this.column]), ...this.shown.flatMap(name => {
        const { says, mean, spread, dependence } = this.judge(name, this.row, this.column);
        return [make("b", {}, name), `: ${says}${mean ? SAY.numbers(mean, spread, dependence) : ""}. `];
      })];
    }

    show() {
      const paths = [], ends = [];
      this.panels.forEach(({ what, counts, cells, table }, side) => {
        const name = this.shown[side], design = this.names.indexOf(name), count = { learned: 0, diverged: 0 };
        what.textContent = this.data.designs[name];
        table.ariaLabel = SAY.map(name);
        cells.forEach((line, row) => line.forEach((cell, column) => {
          const { kind, says, mean } = this.judge(name, row, column), here = row === this.row && column === this.column;
          cell.className = `lm-m-cell lm-m-${kind}`;
          cell.textContent = mean ? mean.toFixed(2) : "×";
          cell.ariaSelected = here; cell.tabIndex = here ? 0 : -1;
          cell.ariaLabel = `${cell.textContent}, ${says}`;
          count.learned += kind.startsWith("shade"); count.diverged += kind === "diverged";
        }));
        counts.textContent = SAY.counts(count.learned, count.diverged, cells.length * cells[0].length);
        const { losses, says } = this.judge(name, this.row, this.column);
        const text = `${name}: ${says}; ${SAY.seeds}${losses.map(v => v === null ? SAY.none : v < 100 ? v.toFixed(2) : v.toPrecision(2)).join(", ")}`;
        this.runs[side].replaceChildren(make("i", { class: "swatch side" + side, aria: { hidden: true } }), make("span", {}, text));
        losses.forEach((_, seed) => paths.push(["side" + side, this.points(design, seed)]));
        ends.push(text);
      });
      this.chart.draw(paths, `${SAY.curves}. ${ends.join(". ")}.`);
    }
  });

  // --------------------------------------------------------------------------------- the variances
  const f = Math.fround; // of one sum, product or quotient of two float32 it is the float32 result
  const mean = x => f(x.reduce((a, b) => f(a + b)) / x.length);
  const less = (x, m) => x.map(v => f(v - m));
  const squares = x => x.map(v => f(v * v));
  const naive = x => { const m = mean(x); return f(mean(squares(x)) - f(m * m)); };
  const twoPass = x => mean(squares(less(x, mean(x))));
  const VARIANCES = {
    naive, shifted: x => naive(less(x, x[0])),
    Welford(x) {
      let m = 0, sum = 0;
      x.forEach((value, k) => { const before = f(value - m); m = f(m + f(before / (k + 1))); sum = f(sum + f(before * f(value - m))); });
      return f(sum / x.length);
    },
    "two-pass": twoPass, careful: x => { const c = less(x, mean(x)); return mean(squares(less(c, mean(c)))); },
  };
  /* In float64, of differences that are exact there: right to its last digits. */
  const exact = x => { const d = x.map(v => v - x[0]), m = average(d); return average(d.map(v => (v - m) ** 2)); };
  const look = (values, offset) => {
    const x = values.map(v => f(v + offset)), ways = {};
    for (const name in VARIANCES) ways[name] = VARIANCES[name](x);
    const m = mean(x);
    return { x, ways, exact: exact(x), squares: mean(squares(x)), square: f(m * m) };
  };
  const exponent = v => { let e = Math.floor(Math.log2(v)); while (2 ** e > v) e--; while (2 ** (e + 1) <= v) e++; return e; };
  const digit = (v, place) => Math.floor(Math.abs(v) / 2 ** place) % 2; // exact: only the exponent changes

  const HIGH = 39, LOW = -8; // the places shown; the largest square is just above 2³⁹
  const STOPS = Array.from({ length: 61 }, (_, k) => Number((10 ** (k / 10)).toPrecision(2)));
  const WORST = 5, BEST = -8; // powers of ten, of the relative error

  customElements.define("lm-float-microscope", class extends Explorable {
    build(first, id) {
      this.values = first.values;
      this.offset = slider(id, SAY.offset, () => this.update(), { max: STOPS.length - 1 });
      this.offset.input.value = STOPS.indexOf(first.offset);
      this.numbers = make("p", { class: "x-note numbers" });
      const jump = () => {
        const at = Number(this.offset.input.value), next = STOPS.map((_, k) => (at + 1 + k) % STOPS.length).find(k => look(this.values, STOPS[k]).ways.naive < 0);
        if (next === undefined) this.say([SAY.never]); else { this.offset.input.value = next; this.update(); }
      };
      this.x = offset => Math.log10(offset) / 6;
      this.chart = chart([0, 1, 2, 3, 4, 5, 6].map(k => [k / 6, SAY.power(10, k)]), [-8, -6, -4, -2, 0, 2, 4].map(k => [(k - BEST) / (WORST - BEST), SAY.power(10, k)]));
      this.bits = [SAY.squares, SAY.square, SAY.less, SAY.exact].map(name => {
        const value = make("span"), cells = Array.from({ length: HIGH - LOW + 1 }, () => make("i"));
        return { value, cells, row: make("li", {}, make("p", {}, make("b", {}, name), " ", value), make("div", { class: "bits", aria: { hidden: true } }, ...cells)) };
      });
      const places = make("div", { class: "bits places", aria: { hidden: true } }, ...Array.from({ length: HIGH - LOW + 1 }, (_, k) => make("i", {}, (HIGH - k) % 10 || HIGH < k ? "" : SAY.power(2, HIGH - k))));
      this.ways = Object.keys(VARIANCES).map((name, k) => {
        const value = make("td"), error = make("td");
        return { name, value, error, row: make("tr", {}, make("th", { scope: "row" }, make("i", { class: "swatch way" + k, aria: { hidden: true } }), name, make("small", {}, SAY.ways[k])), value, error) };
      });
      this.exactCell = make("td");
      const table = make("table", { class: "ways" }, make("thead", {}, make("tr", {}, ...SAY.way.map(text => make("th", { scope: "col" }, text)))),
        make("tbody", {}, ...this.ways.map(way => way.row), make("tr", {}, make("th", { scope: "row" }, SAY.exact), this.exactCell, make("td", {}))));
      return [
        this.offset.row, choices(SAY.tries, [[SAY.jump, jump], [SAY.draw, () => this.draw()]]), this.numbers, this.says,
        make("p", { class: "x-title" }, SAY.bits), make("ul", { class: "rows" }, ...this.bits.map(b => b.row)), places,
        make("ul", { class: "legend" }, ...["same", "kept", "gone"].map((kind, k) => make("li", {}, make("i", { class: "bit " + kind, aria: { hidden: true } }), SAY.key[k]))),
        make("p", { class: "x-note" }, SAY.bitsNote),
        make("div", { class: "both" }, make("div", {}, table), make("div", {}, make("p", { class: "x-title" }, SAY.errors), this.chart.box, make("p", { class: "x-note" }, make("i", { class: "dot", aria: { hidden: true } }), SAY.negative))),
      ];
    }

    look(values, offset) { return look(values, offset); }

    get view() { const offset = STOPS[this.offset.input.value]; return { offset, ...look(this.values, offset) }; }

    draw() { // about N(0, 1), two digits
      this.values = this.values.map(() => Number((Array.from({ length: 12 }, Math.random).reduce((a, b) => a + b) - 6).toFixed(1)));
      this.update();
    }

    update() { this.show(); this.say(this.summary()); }

    summary() {
      const { offset, ways: { naive }, exact } = this.view, error = Math.abs(naive - exact) / exact;
      return [SAY.at(offset, naive, exact), naive < 0 ? SAY.below : !naive ? SAY.zero : error > .5 ? SAY.far(error) : error > 5e-7 ? SAY.fair(error) : SAY.good];
    }

    show() {
      const { offset, x, ways, exact, squares, square } = this.view, lsb = exponent(square) - 23;
      this.offset.out.textContent = num(offset);
      this.offset.input.ariaValueText = num(offset);
      this.numbers.textContent = SAY.stored(this.values, offset, x, 2 ** (exponent(Math.max(...x)) - 23));
      let same = HIGH;
      while (same >= Math.max(lsb, LOW) && digit(squares, same) === digit(square, same)) same--;
      [squares, square, ways.naive, exact].forEach((value, k) => {
        const { cells, value: text, row } = this.bits[k], top = value ? exponent(Math.abs(value)) : LOW - 1;
        text.textContent = k < 2 ? SAY.worth(value, 2 ** (exponent(value) - 23)) : short(value) + (value < 0 ? SAY.below0 : "");
        row.classList.toggle("lm-m-negative", value < 0);
        cells.forEach((cell, j) => {
          const place = HIGH - j, one = digit(value, place);
          const kind = k < 3 && place < lsb ? "gone" : place > top ? "" : k < 2 && place > same ? "same" : "kept", read = kind && kind !== "gone";
          cell.className = `lm-m-bit lm-m-${kind}${read && one ? " lm-m-one" : ""}${place ? "" : " lm-m-unit"}`;
          cell.textContent = read ? one : "";
        });
      });
      this.exactCell.textContent = short(exact);
      const lines = Object.keys(ways).map((name, k) => ["way" + k, []]), dots = [];
      for (const stop of STOPS) {
        const at = look(this.values, stop);
        Object.values(at.ways).forEach((value, k) => {
          const error = Math.abs(value - at.exact) / at.exact, y = (Math.min(Math.max(Math.log10(error), BEST), WORST) - BEST) / (WORST - BEST);
          lines[k][1].push([this.x(stop), y]);
          if (value < 0) { const dot = make("i", { class: "dot" }); dot.style.left = 100 * this.x(stop) + "%"; dot.style.bottom = 100 * y + "%"; dots.push(dot); }
        });
      }
      const here = make("i", { class: "here" });
      here.style.left = 100 * this.x(offset) + "%";
      this.chart.over.replaceChildren(here, ...dots);
      this.ways.forEach(({ name, value, error, row }) => {
        value.textContent = short(ways[name]); error.textContent = size(Math.abs(ways[name] - exact) / exact);
        row.classList.toggle("lm-m-negative", ways[name] < 0);
      });
      this.chart.draw(lines.reverse(), `${SAY.errors}. ${this.ways.map(way => `${way.name} ${way.error.textContent}`).join(", ")}.`);
    }
  });
})();
