/* <lm-budget-planner>: compute, serving and text in; model, tokens, loss and the cost of mistakes out.
 *
 * lmlib/planner.py writes the laws and their draws into data-view; all else is computed here, as there
 * and in lmlib.scaling.limited. tests/test_planner.py holds them to the same numbers.
 */
(() => {
  "use strict";
  const { Explorable, maker, choices } = lmExplorable, make = maker("lm-p-");
  const { exp, log, log1p, log10, min, max } = Math;
  const NO_LIMIT = 1e100, WORTHLESS = 4, MOST_TOKENS = 1e18, MOST_TIMES = 1e6, PER_DECADE = 20;

  // ---------------------------------------------------------------- every word the reader sees
  const UNITS = [[1e12, " T", " trillion"], [1e9, " B", " billion"], [1e6, " M", " million"], [1e3, " k", " thousand"], [1, "", ""]];
  const num = n => n.toLocaleString("en"), two = n => Number(n.toPrecision(2));
  const tens = n => n >= 10 || !n ? num(n) : n.toFixed(1), times = n => tens(two(n)) + " times";
  /* Two digits and a unit: "73 B", or in words; without its unit beside a like amount. */
  const short = (amount, like, word = 1) => {
    const unit = UNITS.find(u => two(like ?? amount) >= u[0]) || UNITS.at(-1);
    return tens(two(two(amount) / unit[0])) + (like === undefined ? unit[word] : "");
  };
  const inWords = amount => short(amount, undefined, 2);
  const flop = c => String(Number(c.toPrecision(3)).toExponential()).replace("e+", "e");
  const spread = ([v, low, high]) => [short(v), `(${short(low, v)} to ${short(high, v)})`];
  const decimals = (interval, digits) => {
    const [v, low, high] = interval.map(x => (Math.round(x * 10 ** digits) / 10 ** digits + 0).toFixed(digits).replace("-", "−"));
    return [v, `(${low} to ${high})`];
  };
  const extra = interval => interval.every(x => Math.abs(x) < 5e-5) ? ["under 0.0001"] : decimals(interval, 4);
  const percent = share => share < .05 ? "under 0.1 %" : (share < 10 ? share.toFixed(1) : share.toFixed(0)) + " %";
  const factor = n => n === null ? "more than a million times" : n >= 2 ? times(n) : percent(100 * (n - 1));
  const SAY = {
    law: "Law", begin: "Try",
    compute: "Compute, FLOP", served: "Tokens served", unique: "Unique tokens",
    nothing: { served: "none", unique: "no limit" },
    slider: name => name + ", logarithmic",
    says({ compute, inference_tokens: use, unique_tokens: unique, best, served }) {
      const [n, d, r] = ["params", "tokens", "ratio"].map(key => inWords(best[key][0])), [loss, between] = decimals(best.loss, 3);
      let line = `At ${flop(compute)} FLOP: ${n} parameters on ${d} tokens, ${r} a parameter; expected loss ${loss} nats per token ${between}.`;
      if (unique) line += ` The ${inWords(unique)} unique tokens are read ${best.epochs[0] < 1 ? "in part" : best.epochs[0] < 1.05 ? "once" : times(best.epochs[0])}.`;
      if (served) line += ` To serve ${inWords(use)} tokens, ${inWords(served.params[0])} parameters on ${inWords(served.tokens[0])} reach that loss for ${percent(100 * (1 - served.total / best.total))} less compute in all.`;
      return line;
    },
    not: (text, name) => `“\u2068${text.slice(0, 30)}\u2069” is no number for “${name}”: write 5.8e23, 10^23 or 3 T. `,
    outside: (name, low, high) => `“${name}” must lie between ${low} and ${high}. `,
    few: (unique, compute, read, most) => `${inWords(unique)} unique tokens are too few for ${flop(compute)} FLOP: the plan would read them ${times(read)}, and past ${most.toFixed(0)} next to nothing is gained. Give less compute, or more text. `,
    kept: "The numbers below stay as they were.",
    plan: ["The plan", "Lowest loss", "Same loss, serving counted"],
    rows: { params: "Parameters", tokens: "Training tokens", ratio: "Tokens per parameter", epochs: "Epochs", loss: "Loss, nats per token", training: "Training, FLOP", total: "Training and serving, FLOP" },
    range: ([low, high], inside) => [make("b", {}, inside ? "" : "Outside the measured range. "), `In brackets: 95 % of the laws that fit such runs about as well. They were runs of ${flop(low)} to ${flop(high)} FLOP${inside ? "" : "; out here the interval is the fit’s, not the truth’s"}.`],
    picture: compute => `Loss against size, at ${flop(compute)} training FLOP`,
    pictureNote: served => `Across: parameters. Upwards: nats per token. Bar: where 95 % of the draws see the lowest loss.${served ? " Green reaches the same loss by training longer, on more FLOP." : ""}`,
    lowest: "lowest loss", withServing: "serving counted",
    alt: marks => `A valley: loss falls and rises again with the number of parameters. ${marks.map(m => `${m.label}: ${inWords(m.n)} parameters, loss ${m.loss.toFixed(3)}`).join("; ")}.`,
    mistakes: ["What a mistake costs", "Extra loss, nats", "Extra compute, same loss"],
    made: ({ params, tokens }) => `${short(params)} on ${short(tokens)} tokens`,
    none: "none",
    note: law => `B is 10⁹, T is 10¹², training costs 6 FLOP per parameter and token, serving 2. Law: ${law.name}. ${law.repetition ? `Repetition as in Muennighoff et al. (2023): R* = ${law.repetition.R_D.toFixed(1)} for tokens, ${law.repetition.R_N.toFixed(1)} for surplus parameters, from other runs, taken as exact. ` : ""}Where an interval of the extra loss includes 0, such runs cannot tell the rule from the plan.`,
  };

  // ------------------------------------------------------------------------------------- the laws
  /* lmlib.scaling: effective, data_constrained, compute_optimal. A law is an object of constants. */
  const effective = (amount, unique, R) => { const once = min(amount, unique); return once * (1 - R * Math.expm1(-(amount / once - 1) / R)); };
  const enough = (U, { A, B, alpha, beta }) => { const balance = (alpha * A / (beta * B)) ** (1 / (alpha + beta)); return balance * (balance * U) ** (beta / alpha); };
  const lossOf = (law, N, D, U) => law.E + law.A / effective(N, enough(U, law), law.R_N) ** law.alpha + law.B / effective(D, U, law.R_D) ** law.beta;
  const optimal = (C, { A, B, alpha, beta }) => {
    const N = exp((log(alpha / beta) + log(A / B)) / (alpha + beta) + beta / (alpha + beta) * log(C / 6));
    return [N, C / 6 / N];
  };

  /* lmlib.scaling.limited */
  const crossing = (rising, low, high) => {
    for (let k = 0; k < 64; k++) { const middle = (low + high) / 2; if (rising(middle) > 0) high = middle; else low = middle; }
    return (low + high) / 2;
  };
  const logElasticity = (amount, unique, R) => amount === Infinity ? -Infinity : log(amount) - max(amount / unique - 1, 0) / R - log(effective(amount, unique, R));
  const logValue = (amount, unique, scale, exponent, R) => log(exponent * scale) - exponent * log(effective(amount, unique, R)) + logElasticity(amount, unique, R);
  const limited = (C, U, law) => {
    const [N, D] = optimal(C, law), most = enough(U, law);
    if (D <= U) return [N, D];
    const size = exp(crossing(n => logValue(C / 6 / exp(n), U, law.B, law.beta, law.R_D) - logValue(exp(n), most, law.A, law.alpha, law.R_N), 0, log(C / 6)));
    return [size, C / 6 / size];
  };
  const amountOf = (worth, unique, R) => {
    const used = (worth / unique - 1) / R;
    return worth <= unique ? worth : used < 1 ? unique * (1 - R * log1p(-used)) : Infinity;
  };
  const serving = (loss, use, U, law) => {
    const { E, A, B, alpha, beta, R_N, R_D } = law, most = enough(U, law), excess = loss - E;
    const amounts = x => [amountOf((A / (excess * x)) ** (1 / alpha), most, R_N), amountOf((B / (excess * (1 - x))) ** (1 / beta), U, R_D)];
    return amounts(crossing(x => {
      const [N, D] = amounts(x);
      return log(alpha * x) + logElasticity(N, most, R_N) - log(beta * (1 - x)) - logElasticity(D, U, R_D) - log1p(use / 3 / D);
    }, 0, 1));
  };

  // ------------------------------------------------------------------------------------- the plan
  const mistaken = (name, law, C, U) => {
    const rule = law.rules[name];
    let N = rule ? rule[0] * C ** rule[1] : name === "fresh" ? optimal(C, law.point)[0] : limited(C, U, law.point)[0];
    if (name === "embeddings") N += law.embedding * N ** (1 / 3);
    return [N, C / 6 / N];
  };
  const timesOf = (name, law, C, U, loss) => {
    const lacks = t => loss - lossOf(law.point, ...mistaken(name, law, C * exp(t), U), U), top = log(MOST_TIMES);
    return lacks(top) < 0 ? null : exp(crossing(lacks, 0, top));
  };
  const interval = ([value, ...draws]) => {
    draws.sort((a, b) => a - b);
    return [value, ...[.025, .975].map(q => {
      const at = q * (draws.length - 1), k = Math.floor(at);
      return draws[k] + (at - k) * ((draws[k + 1] ?? draws[k]) - draws[k]);
    })];
  };
  const summary = (pairs, loss, use, unique) => {
    const [[N, D]] = pairs;
    return {
      params: interval(pairs.map(p => p[0])), tokens: interval(pairs.map(p => p[1])), ratio: interval(pairs.map(([n, d]) => d / n)),
      epochs: unique && interval(pairs.map(p => p[1] / unique)), loss: interval(loss), training: 6 * N * D, total: 6 * N * D + 2 * N * use,
    };
  };

  /* budget_plan of lmlib.planner; { problem } for too short a text. The controls check single numbers. */
  const budgetPlan = (law, C, use, unique) => {
    const U = unique ?? NO_LIMIT, pairs = law.every.map(each => limited(C, U, each)), [[N, D]] = pairs;
    const most = 1 + WORTHLESS * law.point.R_D;
    if (D > U * most) return { problem: SAY.few(unique, C, D / U, most) };
    const here = law.every.map(each => lossOf(each, N, D, U)), best = summary(pairs, here, use, unique), mistakes = {};
    for (const name of [...Object.keys(law.rules), ...law.embedding ? ["embeddings"] : [], ...unique ? ["fresh"] : []]) {
      const [n, d] = mistaken(name, law, C, U), found = law.every.map(each => lossOf(each, n, d, U));
      mistakes[name] = { params: n, tokens: d, loss: found[0], extra_loss: interval(found.map((l, k) => l - here[k])), extra_compute: timesOf(name, law, C, U, here[0]) };
    }
    let served = null;
    if (use > 0) {
      const lowest = law.every.map((each, k) => lossOf(each, ...pairs[k], U));
      served = summary(law.every.map((each, k) => serving(lowest[k], use, U, each)), lowest, use, unique);
      mistakes.serving = { params: N, tokens: D, loss: here[0], extra_loss: [0, 0, 0], extra_compute: best.total / served.total };
    }
    return { compute: C, inference_tokens: use, unique_tokens: unique, law: law.key, best, served, mistakes };
  };

  /* A law as it comes, and its constants as objects: the point; the point and all draws. */
  const prepared = (key, content) => {
    const names = Object.keys(content.constants), worth = content.repetition || { R_N: 1, R_D: 1 }, point = { ...content.constants, ...worth };
    const draws = content.draws.map(row => ({ ...worth, ...Object.fromEntries(row.map((v, k) => [names[k], v])) }));
    return { ...content, key, point, every: [point, ...draws] };
  };

  /* An amount as people write it; null for nothing at all, NaN for what is no number. */
  const AMOUNT = /^(\d*\.?\d+)?(?:e\+?(\d+))?(?:[x×·*]?10\^(\d+))?(?:(k|thousand)|(m|million)|(b|billion)|(t|trillion))?(?:flops?|tokens?)?$/;
  const parsed = text => {
    const t = text.toLowerCase().replace(/[\s,]/g, "");
    if (["", "none", "no", "nolimit"].includes(t)) return null;
    const [all, number, e = 0, power = 0, ...units] = t.match(AMOUNT) || [];
    if (!number && !power) return NaN;
    return Number(`${number ?? 1}e${Number(e) + Number(power)}`) * 1000 ** (units.findIndex(Boolean) + 1);
  };

  // ---------------------------------------------------------------------------------- the element
  const svg = (tag, props = {}, ...children) => {
    const e = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const k in props) e.setAttribute(k, props[k]);
    e.append(...children);
    return e;
  };
  const pen = document.createElement("canvas").getContext("2d");

  customElements.define("lm-budget-planner", class extends Explorable {
    /* For tests and the curious: budget_plan of lmlib.planner. */
    view(compute, use = 0, unique = null, key = this.law.key) { return budgetPlan(this.laws[key], compute, use, unique); }

    build({ asked, laws, mistakes }, id) {
      this.laws = Object.fromEntries(Object.entries(laws).map(([key, law]) => [key, prepared(key, law)]));
      this.names = mistakes;
      this.problems = {};
      this.clip = id + "clip";
      this.law = this.laws[asked.law];
      this.asked = { compute: asked.compute, served: asked.inference_tokens, unique: asked.unique_tokens };
      this.plan = this.view(...Object.values(this.asked));
      this.controls = Object.fromEntries(["compute", "served", "unique"].map(name => [name, this.control(name, id + name)]));
      this.choice = make("select", { id: id + "law", onchange: () => this.change(this.laws[this.choice.value]) }, ...Object.values(this.laws).map(law => make("option", { value: law.key }, law.name)));
      this.choice.value = this.law.key;
      this.examples = make("div");
      this.table = make("table", { class: "plan" });
      this.range = make("p", { class: "x-note" });
      this.heading = make("p", { class: "x-title" });
      this.picture = make("div", { class: "picture" });
      this.pictureNote = make("p", { class: "x-note" });
      this.costs = make("table", { class: "costs" });
      this.note = make("p", { class: "x-note" });
      new ResizeObserver(() => this.draw()).observe(this.picture);
      this.offer();
      return [
        this.examples,
        make("div", { class: "x-field", hidden: Object.keys(laws).length < 2 }, make("label", { htmlFor: id + "law" }, SAY.law), this.choice),
        ...Object.values(this.controls).map(c => c.row), this.says, this.table, this.range, this.heading, this.picture, this.pictureNote, this.costs, this.note,
      ];
    }

    control(name, id) {
      const input = make("input", { id, type: "text", autocomplete: "off", spellcheck: false, placeholder: SAY.nothing[name] || "", aria: { invalid: false }, oninput: () => this.typed(name, 500), onchange: () => this.typed(name, 0) });
      const slider = make("input", { type: "range", min: 0, step: 1, aria: { label: SAY.slider(SAY[name]) }, oninput: () => this.set({ [name]: this.atStep(name, Number(slider.value)) }) });
      return { input, slider, row: make("div", { class: "x-slider" }, make("label", { htmlFor: id }, SAY[name]), input, slider) };
    }

    // one more step on the left serves nothing, one on the right has no limit
    steps(name) { const [low, high] = this.law.reach[name]; return Math.round(PER_DECADE * log10(high / low)); }
    atStep(name, step) {
      if (name === "served" && !step || name === "unique" && step > this.steps(name)) return name === "served" ? 0 : null;
      return two(this.law.reach[name][0] * 10 ** ((step - (name === "served")) / PER_DECADE));
    }
    stepOf(name, value) {
      if (!value) return name === "unique" ? this.steps(name) + 1 : 0;
      return min(max(Math.round(PER_DECADE * log10(value / this.law.reach[name][0])), 0), this.steps(name)) + (name === "served");
    }

    change(law) { this.law = law; this.offer(); const [, ...asked] = law.examples[0]; this.set({ compute: asked[0], served: asked[1], unique: asked[2] }); }

    offer() {
      for (const [name, { slider }] of Object.entries(this.controls)) slider.max = this.steps(name) + (name !== "compute");
      this.examples.replaceChildren(choices(SAY.begin, this.law.examples.map(([label, compute, served, unique]) => [label, () => this.set({ compute, served, unique })])));
      for (const name in this.controls) this.write(name);
      this.controls.unique.row.hidden = !this.law.repetition;
    }

    write(name) {
      const value = this.asked[name];
      this.controls[name].input.value = !value ? "" : name === "compute" ? flop(value) : short(value);
      this.place(name);
    }
    place(name) {
      const { slider } = this.controls[name], value = this.asked[name];
      slider.value = this.stepOf(name, value);
      slider.ariaValueText = !value ? SAY.nothing[name] : name === "compute" ? flop(value) : inWords(value);
    }

    /* Numbers from a slider or a button are written into the fields. */
    set(asked) {
      Object.assign(this.asked, asked);
      for (const name in asked) { this.wrong(name, ""); this.write(name); }
      this.update();
    }

    /* Only a field that was typed in is read: what fields show is rounded. */
    typed(name, wait) {
      const { input } = this.controls[name], value = parsed(input.value);
      const [low, high] = name === "compute" ? this.law.reach.compute : [name === "served" ? 0 : 1, MOST_TOKENS], say = name === "compute" ? flop : inWords;
      const problem = Number.isNaN(value) || value === null && name === "compute" ? SAY.not(input.value, SAY[name])
        : value !== null && !(value >= low && value <= high) ? SAY.outside(SAY[name], say(low), say(high)) : "";
      this.wrong(name, problem);
      if (!problem) { this.asked[name] = name === "served" ? value ?? 0 : value; this.place(name); }
      this.update(wait);
    }
    wrong(name, problem) {
      this.problems[name] = problem;
      this.controls[name].input.setAttribute("aria-invalid", Boolean(problem));
    }

    /* Plan and draw after `wait` ms without another change. */
    update(wait = 0) {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => {
        let problem = Object.values(this.problems).join("");
        if (!problem) {
          const plan = this.view(...Object.values(this.asked));
          if (plan.problem) problem = plan.problem;
          else this.plan = plan;
        }
        this.live.classList.toggle("lm-p-stale", Boolean(problem));
        if (problem) return this.say([problem + SAY.kept]);
        this.show();
        this.say(this.summary());
      }, wait);
    }

    summary() { return [SAY.says(this.plan)]; }

    show() {
      const { plan, law, names } = this, { best, served, mistakes } = plan, cell = (tag, scope, ...inner) => make(tag, scope ? { scope } : {}, ...inner);
      const fill = (table, [first, ...heads], rows) => table.replaceChildren(
        make("thead", {}, make("tr", {}, ...[first, ...heads].map(head => cell("th", "col", head)))),
        make("tbody", {}, ...rows.map(([head, ...cells]) => make("tr", {}, cell("th", "row", ...head), ...cells.map(([value, small]) => cell("td", "", make("b", {}, value), ...small ? [" ", make("small", {}, small)] : []))))));
      const said = (key, value) => key === "loss" ? decimals(value, 3) : value.length ? spread(value) : [flop(value)];
      const keys = Object.keys(SAY.rows).filter(key => best[key] && (key !== "total" || served));
      fill(this.table, SAY.plan.slice(0, served ? 3 : 2), keys.map(key => [[SAY.rows[key]], ...[best, served].filter(Boolean).map(p => said(key, p[key]))]));
      fill(this.costs, SAY.mistakes, Object.entries(mistakes).map(([name, cost]) => [
        [names[name][0], make("small", {}, names[name][1]), make("small", {}, SAY.made(cost))],
        name === "serving" ? [SAY.none] : extra(cost.extra_loss), [factor(cost.extra_compute)],
      ]));
      const [least, most] = law.measured;
      this.range.replaceChildren(...SAY.range(law.measured, plan.compute >= least && plan.compute <= most));
      this.heading.textContent = SAY.picture(plan.compute);
      this.pictureNote.textContent = SAY.pictureNote(served);
      this.note.textContent = SAY.note(law);
      this.draw();
    }

    /* The valley of all plans for this compute, and what stands on it. Labels hang to the right of
     * their leaders, the leftmost highest: none crosses another. */
    draw() {
      const width = this.picture.clientWidth;
      if (!width) return; // not in the page yet
      const { plan: { compute, unique_tokens, best, served, mistakes }, law, names } = this, U = unique_tokens ?? NO_LIMIT;
      const lossAt = n => lossOf(law.point, exp(n), compute / 6 / exp(n), U);
      const mark = (kind, label, [N], loss) => ({ kind, label, n: N, x: log(N), loss });
      const marks = [
        mark("best", SAY.lowest, best.params, best.loss[0]),
        ...served ? [mark("served", SAY.withServing, served.params, best.loss[0])] : [],
        ...Object.entries(mistakes).filter(([name]) => name !== "serving").map(([name, m]) => mark("wrong", names[name][2], [m.params], m.loss)),
      ].sort((a, b) => b.x - a.x);
      const left = 46, inner = width - left - 6, deep = 190, lane = 18;
      pen.font = "12px " + getComputedStyle(this).fontFamily;
      for (const m of marks) m.wide = pen.measureText(m.label).width + 12;
      const from = min(...marks.map(m => m.x), log(best.params[1])) - 1.6;
      const to = max(log(best.params[0]) + 2.5, ...marks.map(m => from + (m.x - from) * inner / (inner - m.wide - 4)));
      const X = x => left + (x - from) / (to - from) * inner;
      marks.forEach((m, i) => { m.lane = max(0, ...marks.slice(0, i).filter(o => X(o.x) < X(m.x) + m.wide).map(o => o.lane + 1)); });
      const top = (max(...marks.map(m => m.lane)) + 1) * lane + 4, bottom = top + deep, base = best.loss[0];
      const span = max(1.25 * (max(...marks.map(m => m.loss)) - base), .3 * (lossAt(log(best.params[0]) + 2.3) - base));
      const Y = loss => bottom - (.12 + .88 * (loss - base) / span) * deep;
      const step = [1, 2, 5].flatMap(k => [-4, -3, -2, -1, 0].map(p => k * 10 ** p)).sort((a, b) => a - b).find(t => span / t < 4.5) || 1;
      const drawn = [];
      for (let t = Math.ceil((base - .12 * span) / step); t * step <= base + span; t++) {
        const y = Y(t * step);
        drawn.push(svg("line", { class: "lm-p-grid", x1: left, x2: width - 6, y1: y, y2: y }), svg("text", { x: left - 6, y: y + 4, "text-anchor": "end" }, (t * step).toFixed(max(0, Math.ceil(-log10(step))))));
      }
      const ten = Math.LN10, each = Math.ceil((to - from) / ten * 62 / inner);
      for (let d = Math.ceil(from / ten); d * ten < to; d++) {
        const x = X(d * ten);
        drawn.push(svg("line", { x1: x, x2: x, y1: bottom, y2: bottom + 5 }));
        if (d % each === 0) drawn.push(svg("text", { x: min(x, width - 24), y: bottom + 19, "text-anchor": "middle" }, short(10 ** d).replace(".0", "")));
      }
      drawn.push(svg("line", { x1: left, x2: width - 6, y1: bottom, y2: bottom }));
      const points = Array.from({ length: 161 }, (_, k) => from + k / 160 * (to - from)).map(x => [X(x), Y(lossAt(x))]).filter(([, y]) => y > top - deep);
      drawn.push(svg("clipPath", { id: this.clip }, svg("rect", { x: left, y: top, width: inner, height: deep })),
        svg("polyline", { class: "lm-p-valley", "clip-path": `url(#${this.clip})`, points: points.map(p => p.map(v => v.toFixed(1))).join(" ") }));
      const [, low, high] = best.params.map(N => X(log(N)));
      drawn.push(svg("line", { class: "lm-p-spread", x1: max(low, left), x2: min(high, width - 6), y1: Y(base), y2: Y(base) }));
      for (const m of marks) {
        const x = X(m.x), y = Y(m.loss), up = top - 4 - lane * m.lane - lane / 2;
        drawn.push(svg("path", { d: `M${x} ${y}V${up}h5` }), svg("text", { class: "lm-p-" + m.kind, x: x + 8, y: up + 4 }, m.label));
      }
      for (const m of [...marks].sort(m => m.kind === "best" ? 1 : -1)) drawn.push(svg("circle", { class: "lm-p-" + m.kind, cx: X(m.x), cy: Y(m.loss), r: m.kind === "wrong" ? 4 : 5.5 }));
      this.picture.replaceChildren(svg("svg", { width, height: bottom + 26, role: "img", "aria-label": SAY.alt(marks) }, ...drawn));
    }
  });
})();
