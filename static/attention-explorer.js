/* <lm-attention-explorer>: edit a sentence, see where four heads look and what comes next.
 *
 * lmlib/attention_explorer.py writes the element with its first view (data-view) and, inside, the
 * static tables that serve without scripts and in print. Only when the reader first uses a control
 * does this file load the model, as a script (so that it works in a book opened as a file), from
 * beside itself. tests/test_attention_explorer.py holds it, NumPy and torch to the same numbers.
 */
(() => {
  "use strict";
  const { Explorable, maker, plural, choices, slider } = lmExplorable, make = maker("lm-a-");
  const MODEL = new URL("attention-model.js", document.currentScript.src).href;
  const SHOWN = 6, LONGEST = 60, COMMA = "，";

  // ---------------------------------------------------------------- every word the reader sees
  const zh = text => make("span", { lang: "zh" }, text);
  const SAY = {
    sentence: "Sentence", begin: "Begin with", none: "no conjunction",
    fillers: "Filler clauses between the halves: ", noComma: "needs a comma in the sentence",
    read: "The model has read: ", ofAll: (n, of) => `${n} of ${plural(of, "character")}, up to `,
    next: "Next character", nextNote: "Line: with every head in place.",
    heads: "Where each head looks from there", knockOut: "knock out",
    back: n => n ? `, ${plural(n, "character")} back` : ", the last one read",
    strip: "Weights over the characters; the largest are listed above in numbers",
    stripNote: "Bars from top to bottom, as in the list above; full height is weight 1. A dashed head is knocked out: it looks, and nobody hears. Choose a character to let the model read up to it.",
    strange: "The model never met ", strangeEnd: n => `: it knows the ${n} characters of its language only, and reads the sentence without. `,
    empty: "Nothing to read: type a sentence, or choose a conjunction above.",
    after: "After ", choice: n => ` (${plural(n, "character")} read) the model’s first choice is `,
    withP: p => `, probability ${p.toFixed(3)}.`,
    without: heads => ` Without ${heads.map(h => h.toLowerCase()).join(" and ")}, `,
    moves: (was, is) => ` ${is < was - 5e-4 ? "falls" : is > was + 5e-4 ? "rises" : "stays"} from ${was.toFixed(3)} to ${is.toFixed(3)}`,
    now: "; the first choice is now ", meaning: "Word by word: ",
    note: () => ["In the training sentences the second half begins after each comma with probability 0.30, for certain after 6 clauses between the halves, and the first conjunction decides how. ", zh("虽然"), " never stands before ", zh("下雨了"), " there. Clauses are drawn at random, so many a sentence makes no sense. The model (108 kB) loads when you first use a control."],
    loading: "Loading the model …",
    failed: "The model could not be loaded, so the numbers below stay as they were. Use any control to try again.",
  };

  // ------------------------------------------------------------------------------------ the model
  /* Weights arrive as little-endian float16 in base64, which few browsers can read by themselves. */
  const half = h => (h >> 15 ? -1 : 1) * (h >> 10 & 31 ? 2 ** ((h >> 10 & 31) - 25) * (1024 + (h & 1023)) : 2 ** -24 * (h & 1023));
  const decode = ({ characters, heads, shapes, weights }) => {
    const bytes = atob(weights), number = k => half(bytes.charCodeAt(2 * k) | bytes.charCodeAt(2 * k + 1) << 8), p = {};
    let at = 0;
    for (const [name, shape] of Object.entries(shapes)) {
      p[name] = Float64Array.from({ length: shape.reduce((a, b) => a * b) }, () => number(at++));
    }
    return { characters, heads, p, width: shapes.embedding[1], depth: Object.keys(p).filter(n => n.endsWith("query.weight")).length };
  };

  const linear = (x, weight, bias) => x.map(row => { // a text is a list of T vectors
    const inputs = row.length, out = new Float64Array(weight.length / inputs);
    for (let o = 0, k = 0; o < out.length; o++) {
      let sum = bias ? bias[o] : 0;
      for (let i = 0; i < inputs; i++) sum += weight[k++] * row[i];
      out[o] = sum;
    }
    return out;
  });
  const mean = row => row.reduce((a, b) => a + b, 0) / row.length;
  const norm = (x, gain, bias) => x.map(row => {
    const m = mean(row), rstd = 1 / Math.sqrt(mean(row.map(v => (v - m) ** 2)) + 1e-5);
    return row.map((v, i) => gain[i] * (v - m) * rstd + bias[i]);
  });
  const add = (x, y) => x.map((row, t) => row.map((v, i) => v + y[t][i]));
  const softmax = scores => {
    const top = Math.max(...scores), e = scores.map(s => Math.exp(s - top)), sum = e.reduce((a, b) => a + b, 0);
    return e.map(v => v / sum);
  };
  const erf = z => { // Abramowitz and Stegun 7.1.26, wrong by at most 1.5e-7
    const t = 1 / (1 + .3275911 * Math.abs(z));
    const tail = t * (.254829592 + t * (-.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429)))) * Math.exp(-z * z);
    return z < 0 ? tail - 1 : 1 - tail;
  };
  const gelu = v => v * (1 + erf(v / Math.SQRT2)) / 2;

  /* softmax(query · keyᵀ / √D) value in every head; under the causal mask t sees 0 … t. */
  const attention = (model, name, x, isRemoved) => {
    const [query, key, value] = ["query", "key", "value"].map(part => linear(x, model.p[`${name}.${part}.weight`]));
    const D = model.width / model.heads, scale = 1 / Math.sqrt(D), mixed = x.map(row => new Float64Array(row.length)), weights = [];
    for (let h = 0; h < model.heads; h++) {
      const from = h * D, to = from + D;
      weights.push(query.map((q, t) => {
        const scores = new Float64Array(t + 1);
        for (let j = 0; j <= t; j++) for (let i = from; i < to; i++) scores[j] += scale * q[i] * key[j][i];
        const w = softmax(scores);
        if (!isRemoved(h)) for (let j = 0; j <= t; j++) for (let i = from; i < to; i++) mixed[t][i] += w[j] * value[j][i];
        return w;
      }));
    }
    return [linear(mixed, model.p[`${name}.output.weight`]), weights];
  };

  /* AttentionModel.forward of lmlib.attention_explorer: chances[t] = P(next | text[: t + 1]), weights[head][t]. */
  const forward = (model, text, removed = []) => {
    const { p, width, heads } = model, weights = [];
    const both = name => [p[name + ".weight"], p[name + ".bias"]];
    let x = [...text].map(c => model.characters.indexOf(c) * width).map(at => p.embedding.slice(at, at + width));
    for (let layer = 0; layer < model.depth; layer++) {
      const a = 2 * layer, f = a + 1; // how the parameters count attention and feed-forward
      const [update, seen] = attention(model, `layers.${a}`, norm(x, ...both(`norms.${a}`)), h => removed.includes(layer * heads + h));
      x = add(x, update);
      weights.push(...seen);
      const hidden = linear(norm(x, ...both(`norms.${f}`)), ...both(`layers.${f}.input`)).map(row => row.map(gelu));
      x = add(x, linear(hidden, ...both(`layers.${f}.output`)));
    }
    return { chances: linear(norm(x, ...both("norm")), ...both("head")).map(softmax), weights };
  };

  /* AttentionModel.view of lmlib.attention_explorer. */
  const look = (model, text, position, removed) => {
    const read = text.slice(0, position + 1), { chances, weights } = forward(model, read, removed), now = chances[position];
    const whole = removed.length ? forward(model, read).chances[position] : now;
    const order = [...now.keys()].sort((a, b) => now[b] - now[a]), row = k => [model.characters[k], now[k], whole[k]];
    return {
      text, position, removed, weights: weights.map(w => [...w[position]]),
      next: order.slice(0, SHOWN).map(row), first: row(whole.indexOf(Math.max(...whole))),
    };
  };

  let given, promise; // one for all explorers of a page; forgotten after a failure, to try again
  window.lmAttentionModel = content => { given = content; }; // what the model's script calls
  const load = () => promise ||= new Promise((resolve, reject) => {
    const script = Object.assign(document.createElement("script"), { src: MODEL, onload: resolve, onerror: reject });
    document.head.append(script);
  }).then(() => decode(given)).catch(error => { promise = undefined; throw error; });

  // ---------------------------------------------------------------------------------- the element
  customElements.define("lm-attention-explorer", class extends Explorable {
    /* For tests and the curious: AttentionModel of lmlib.attention_explorer. */
    async view(text, position, removed) { return look(await load(), text, position, removed); }
    async forward(text, removed) { return forward(await load(), text, removed); }

    build(first, id) {
      const { text, position, words, fillers, characters, labels } = first;
      Object.assign(this, { base: text, clauses: 0, at: position, strange: "", words, fillers, characters, labels });
      this.syllables = Object.fromEntries(Object.entries(words).flatMap(([word, [pinyin]]) => pinyin.split(" ").map((s, i) => [word[i], s])));
      const typed = () => this.write(this.input.value);
      this.input = make("input", {
        id, type: "text", lang: "zh", autocomplete: "off", spellcheck: false, maxLength: LONGEST, value: this.base,
        aria: { describedby: id + "h" }, oninput: e => e.isComposing || typed(),
      });
      this.input.addEventListener("compositionend", typed); // while Pinyin is typed, its letters are not the sentence
      this.gloss = make("p", { class: "gloss", id: id + "h" });
      const begin = first.examples.map(text => {
        const word = text.slice(0, 2), label = this.words[word] ? [zh(word), " " + this.words[word][1]] : [SAY.none];
        return [label, () => this.write(this.input.value = text)];
      });
      this.between = slider(id + "f", SAY.fillers, clauses => this.stretch(clauses));
      this.place = slider(id + "p", SAY.read, at => this.move(at));

      this.rows = Array.from({ length: SHOWN }, () => {
        const r = { c: zh(""), gloss: make("small"), bar: make("i"), mark: make("u"), value: make("b") };
        return Object.assign(r, { li: make("li", {}, make("span", { class: "word" }, r.c, r.gloss), make("span", { class: "x-bar", aria: { hidden: true } }, r.bar, r.mark), r.value) });
      });
      this.heads = this.labels.map((label, k) => {
        const box = make("input", { type: "checkbox", onchange: () => this.update(), aria: { label: `${SAY.knockOut} ${label.toLowerCase()}` } }), top = make("span", { class: "top" });
        return { box, top, li: make("li", {}, make("i", { class: `swatch head${k}`, aria: { hidden: true } }), make("b", {}, label),
          make("label", {}, box, make("span", { aria: { hidden: true } }, SAY.knockOut)), top) };
      });
      this.strip = make("div", { class: "strip", aria: { hidden: true }, onclick: e => {
        const at = [...this.strip.children].indexOf(e.target.closest(".lm-a-column")) - 1; // after the key
        if (at >= 0) this.move(at);
      } });
      return [
        make("div", { class: "x-field" }, make("label", { htmlFor: id }, SAY.sentence), this.input), this.gloss,
        choices(SAY.begin, begin),
        this.between.row, this.place.row, this.says,
        make("div", { class: "both" },
          make("div", {}, make("p", { class: "x-title", id: id + "n" }, SAY.next), make("ol", { aria: { labelledby: id + "n" } }, ...this.rows.map(r => r.li)), make("p", { class: "x-note" }, SAY.nextNote)),
          make("div", {}, make("p", { class: "x-title", id: id + "w" }, SAY.heads), make("ul", { aria: { labelledby: id + "w" } }, ...this.heads.map(h => h.li)))),
        make("div", { class: "scroll", tabIndex: 0, aria: { role: "group", label: SAY.strip } }, this.strip),
        make("p", { class: "x-note" }, SAY.stripNote), make("p", { class: "x-note" }, ...SAY.note()),
      ];
    }

    // the text: what is typed, with filler clauses after its first comma
    get cut() { return this.base.indexOf(COMMA) + 1; }
    get filled() { return this.cut ? this.fillers.slice(0, this.clauses).join("") : ""; }
    get text() { return this.base.slice(0, this.cut) + this.filled + this.base.slice(this.cut); }
    get removed() { return this.heads.flatMap(({ box }, k) => box.checked ? [k] : []); }

    write(typed) {
      const text = [...typed.replace(/\s/gu, "").replaceAll(",", COMMA).replaceAll(".", "。")];
      this.strange = [...new Set(text.filter(c => !this.characters.includes(c)))].slice(0, 10).join("");
      this.base = text.filter(c => this.characters.includes(c)).join("");
      this.at = this.cut ? this.cut + this.filled.length - 1 : this.base.length - 1;
      this.update(150);
    }

    stretch(clauses) { // a place behind the fillers moves with them
      const before = this.filled.length;
      this.clauses = clauses;
      if (this.at >= this.cut - 1) this.at = Math.max(this.cut - 1, this.at + this.filled.length - before);
      this.update();
    }

    move(at) { this.at = at; this.update(); }

    /* Compute and draw after `wait` ms without another change. */
    update(wait = 0) {
      this.showControls();
      clearTimeout(this.timer);
      this.timer = setTimeout(async () => {
        const slow = setTimeout(() => this.say([SAY.loading]), 150);
        try {
          const model = await load();
          if (this.base) this.show(look(model, this.text, this.at, this.removed));
          this.say(this.base ? this.summary(this.shown) : [...this.refusal(), SAY.empty]);
        } catch (error) { this.say([SAY.failed]); }
        clearTimeout(slow);
      }, wait);
    }

    refusal() { return this.strange ? [SAY.strange, zh(this.strange), SAY.strangeEnd(this.characters.length)] : []; }

    summary({ text, position, removed, next, first: [character, is, was] }) {
      const read = text.slice(0, position + 1), parts = this.refusal();
      parts.push(SAY.after + (read.length > 12 ? "…" : ""), zh(read.slice(-12)), SAY.choice(read.length), zh(character), SAY.withP(was));
      if (!removed.length) return parts;
      parts.push(SAY.without(removed.map(k => this.labels[k])), zh(character), SAY.moves(was, is));
      return next[0][0] === character ? [...parts, "."] : [...parts, SAY.now, zh(next[0][0]), SAY.withP(next[0][1])];
    }

    showControls() {
      const { text, at, clauses, cut, between, place } = this, words = [];
      Object.assign(between.input, { disabled: !cut, max: this.fillers.length, value: clauses });
      between.out.textContent = cut ? clauses : SAY.noComma;
      Object.assign(place.input, { max: Math.max(text.length - 1, 0), value: at });
      place.out.replaceChildren(...text ? [SAY.ofAll(at + 1, text.length), zh(text[at])] : []);
      place.input.ariaValueText = place.out.textContent;
      for (let rest = this.base; rest; rest = rest.slice(words.at(-1).length)) {
        const fitting = Object.keys(this.words).filter(word => rest.startsWith(word)).sort((a, b) => b.length - a.length);
        words.push(fitting[0] || rest[0]);
      }
      const line = parts => parts.join(" ").replace(/ ?，/g, ",").replace(/ ?。/g, ".");
      const pinyin = line(words.map(w => this.words[w]?.[0] || this.syllables[w] || w));
      const meaning = line(words.map(w => this.words[w] ? `‘${this.words[w][1]}’` : this.syllables[w] || w));
      this.gloss.replaceChildren(make("span", { lang: "zh-Latn" }, pinyin), make("br"), SAY.meaning + meaning);
    }

    show(v) {
      this.shown = v;
      this.showControls();
      this.rows.forEach((r, k) => {
        const [character, is, was] = v.next[k], begun = Object.keys(this.words).filter(word => word.startsWith(character));
        r.c.textContent = character;
        r.gloss.textContent = `${this.syllables[character] || ""} ${begun.map(word => `‘${this.words[word][1]}’`).join(", ")}`;
        r.value.textContent = is.toFixed(3); r.bar.style.width = 100 * is + "%";
        r.mark.style.left = 100 * was + "%"; r.mark.hidden = !v.removed.length;
      });
      this.heads.forEach(({ top, li }, k) => {
        const weights = v.weights[k], best = [...weights.keys()].sort((a, b) => weights[b] - weights[a]).slice(0, 3);
        li.className = v.removed.includes(k) ? "lm-a-out" : "";
        top.replaceChildren(...best.flatMap((j, rank) => [rank ? "; " : "", make("span", {}, zh(v.text[j]), " " + weights[j].toFixed(3)), rank ? "" : SAY.back(v.position - j)]));
      });
      const bars = at => this.heads.map((_, k) => {
        const bar = make("i", { class: `head${k}${v.removed.includes(k) ? " out" : ""}` });
        bar.style.height = 100 * (v.weights[k][at] || 0) + "%";
        return make("span", { class: "cell" }, bar);
      });
      const key = make("span", { class: "column key" }, ...this.labels.map(label => make("span", { class: "cell" }, label.match(/\d+/g).join("."))));
      const { cut } = this, end = cut + this.filled.length;
      this.strip.replaceChildren(key, ...[...v.text].map((character, at) => {
        const kind = at === v.position ? " here" : at > v.position ? " ahead" : at >= cut && at < end ? " filler" : "";
        return make("span", { class: "column" + kind }, ...bars(at), zh(character));
      }));
    }
  });
})();
