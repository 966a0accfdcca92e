/* <lm-ngram-explorer>: type a context, see what follows it at every n.
 *
 * lmlib/explorer.py writes the element with its first view (data-view) and, inside, the static
 * tables that serve without scripts and in print. Only when the reader first uses a control does
 * this file fetch the text, from corpus/ beside itself, and count. What is counted is defined in
 * lmlib/explorer.py; tests/test_explorer.py holds the two to the same numbers.
 */
(() => {
  "use strict";
  const { Explorable, maker, plural, choices } = lmExplorable, make = maker("lm-x-");
  const CORPUS = new URL("corpus/", document.currentScript.src);
  const ORDERS = 5, SHOWN = 4, LINES = 3, REACH = 60, SMALLEST = 1000, PER_DECADE = 10;
  const TOKEN = /\p{L}+(?:['-]\p{L}+)*|[0-9]+(?:[.,][0-9]+)*|[^\s\p{L}0-9]/gu;

  // ---------------------------------------------------------------- every word the reader sees
  const num = n => n.toLocaleString("en");
  // isolates keep right-to-left words inside their quotes; a pasted page is not read out in full
  const quote = words => {
    const s = [].concat(words).join(" ");
    return `“\u2068${s.length > 60 ? s.slice(0, 59) + "…" : s}\u2069”`;
  };
  const SAY = {
    context: "Context", last: "Remove last word", clear: "Clear", examples: "Try",
    size: "Training text: the first ", tokens: n => `${num(n)} tokens`,
    all: " (all of it)",
    heads: ["n", "Context", "Times seen", "Different next words", "Most frequent next words: count, probability"],
    none: "(no context)", times: n => n === 1 ? " time" : " times", kinds: n => n === 1 ? " next word" : " next words",
    table: "Continuations at every n",
    zero: "never seen: no estimate",
    more: k => `needs ${plural(k, "more word")} of context`,
    append: "add to the context",
    newTitle: "How much of new text is unseen?",
    newText: (held, size) => `Share of the n-grams in the last ${num(held)} tokens that never occur in the first ${num(size)} (line: in all the text before them).`,
    lines: w => `${quote(w)} in the text`, noLines: "In the text", noMatch: "Nothing to quote: choose a context that occurs.",
    hint: "Punctuation marks are tokens too; capitals make no difference.",
    forgets: w => `Even a 5-gram sees only the last four tokens: ${quote(w)}.`,
    note: "The works are read as one stream of tokens, across sentence ends. Choose a next word to walk on. The text (0.9 MB) loads when you first use a control.",
    loading: "Loading the text …",
    failed: "The text could not be loaded (no connection, or the page was opened as a file), so the numbers below stay as they were. Use any control to try again.",
    summary(v) {
      const { context: c, rows } = v, inText = `in ${num(v.size)} tokens`, [seen, kinds, top] = rows[c.length];
      if (!c.length) return `No context: a 1-gram model knows only how often each word occurs. ${inText[0].toUpperCase() + inText.slice(1)}, ${num(kinds)} are different; most often ${quote(top[0][0])} (${num(top[0][1])}).`;
      if (seen) return `${quote(c)} occurs ${plural(seen, "time")} ${inText}; ${kinds === 1 ? "one word follows" : `${num(kinds)} different words follow`}${seen > 1 && kinds > 1 ? ", most often" : ":"} ${quote(top[0][0])} (${num(top[0][1])}).`;
      if (v.missing.length) return `The word ${quote(v.missing[0])} never occurs ${inText}: every count that involves it is zero.`;
      let k = c.length; while (!rows[k][0]) k--;
      return `${quote(c)} never occurs ${inText}, though each of its words does. The longest ending that occurs is ${quote(c.slice(c.length - k))}: ${plural(rows[k][0], "time")}.`;
    },
  };

  // ------------------------------------------------------------------------------- the counting
  const tokenise = text => text.toLowerCase().match(TOKEN) || [];

  class TokenStream {
    constructor(titles, texts) {
      this.titles = titles;
      this.text = texts.join("\n");
      this.begins = [];
      texts.reduce((at, t) => (this.begins.push(at), at + t.length + 1), 0);
      this.number = new Map();
      this.words = [];
      const ids = [], starts = [];
      for (const m of this.text.matchAll(TOKEN)) {
        const word = m[0].toLowerCase();
        let id = this.number.get(word);
        if (id === undefined) { this.number.set(word, id = this.words.length); this.words.push(word); }
        ids.push(id); starts.push(m.index);
      }
      this.ids = Int32Array.from(ids);
      this.starts = Int32Array.from(starts);
      this.heldOut = Math.floor(ids.length / 10);
      this.first = [];
      for (let n = 1, names = new Int32Array(ids.length); n <= ORDERS; n++) this.first.push(names = this.firstPlaces(names, n));
    }

    /* Where the n-gram that starts at i first starts, by open addressing; `names` is the same
     * for n - 1, so that two integers identify an n-gram whatever its length. */
    firstPlaces(names, n) {
      const { ids } = this, T = ids.length - n + 1, bits = Math.ceil(Math.log2(2 * ids.length)), table = new Int32Array(1 << bits), out = new Int32Array(T);
      for (let i = 0; i < T; i++) {
        let slot = (Math.imul(names[i], 0x9e3779b1) ^ Math.imul(ids[i + n - 1] + 1, 0x85ebca6b)) >>> (32 - bits), j;
        while ((j = table[slot] - 1) >= 0 && (names[j] !== names[i] || ids[j + n - 1] !== ids[i + n - 1])) slot = (slot + 1) & (table.length - 1);
        if (j < 0) table[slot] = (j = i) + 1;
        out[i] = j;
      }
      return out;
    }

    view(context, size) {
      const rows = [];
      let hits = [], length = 0;
      for (let k = 0; k <= context.length; k++) {
        const [row, places] = this.row(context.slice(context.length - k), size);
        rows.push(row);
        if (k && places.length) { hits = places; length = k; }
      }
      return {
        tokens: this.ids.length, size, context, rows,
        missing: context.filter(w => !(this.number.get(w) < rows[0][1])), // ids count up as words appear
        unseen: this.unseen(size), lines: this.lines(hits, length),
      };
    }

    row(context, size) {
      const { ids, words } = this, k = context.length, want = context.map(w => this.number.get(w));
      const counts = new Int32Array(words.length), places = [], next = [];
      for (let i = 0; i + k < size; i++) {
        let j = 0;
        while (j < k && ids[i + j] === want[j]) j++;
        if (j === k) { places.push(i); if (!counts[ids[i + k]]++) next.push(ids[i + k]); }
      }
      next.sort((a, b) => counts[b] - counts[a] || a - b);
      return [[places.length, next.length, next.slice(0, SHOWN).map(id => [words[id], counts[id]])], places];
    }

    unseen(size) {
      const begin = this.ids.length - this.heldOut, limit = Math.min(size, begin);
      return this.first.map((first, k) => {
        let unseen = 0;
        for (let i = begin; i < first.length; i++) if (first[i] + k + 1 > limit) unseen++;
        return [unseen, first.length - begin];
      });
    }

    lines(hits, length) {
      const { text, starts, begins } = this, shown = Math.min(LINES, hits.length);
      return Array.from({ length: shown }, (_, k) => {
        const i = hits[Math.floor(k * hits.length / shown)], begin = starts[i], next = starts[i + length];
        const end = next + this.words[this.ids[i + length]].length;
        let low = text.lastIndexOf("\n", begin - 1) + 1, high = text.indexOf("\n", end);
        if (!begin) low = 0;
        if (high < 0) high = text.length;
        const cutLow = begin - low > REACH, cutHigh = high - end > REACH;
        if (cutLow) { low = text.indexOf(" ", begin - REACH) + 1; if (!low || low > begin) low = begin; }
        if (cutHigh) high = Math.max(text.lastIndexOf(" ", end + REACH), end);
        return [
          (cutLow ? "… " : "") + text.slice(low, begin), text.slice(begin, next).replace(/\s+/g, " "), text.slice(next, end),
          text.slice(end, high) + (cutHigh ? " …" : ""), this.titles[begins.findLastIndex(b => b <= begin)],
        ];
      });
    }
  }

  let stream; // one promise for all explorers of a page; forgotten after a failure, to try again
  const read = async () => {
    const get = async name => {
      const answer = await fetch(new URL(name, CORPUS), { signal: AbortSignal.timeout(30000) });
      if (!answer.ok) throw new Error(`${name}: ${answer.status}`);
      return answer;
    };
    const { works } = await (await get("index.json")).json();
    const texts = await Promise.all(works.map(async w => (await get(w.file)).text()));
    return new TokenStream(works.map(w => w.title), texts);
  };
  const load = () => stream ||= read().catch(error => { stream = undefined; throw error; });

  // -------------------------------------------------------------------------------- the element
  customElements.define("lm-ngram-explorer", class extends Explorable {
    /* For tests and the curious: corpora.tokenise, and TokenStream.view of lmlib.explorer. */
    static tokenise = tokenise;
    async view(context, size) { return (await load()).view(context, size); }

    summary(v) { return [SAY.summary(v)]; }

    build(first, id) {
      this.total = first.tokens;
      const button = (label, act, props = {}) => make("button", { type: "button", textContent: label, onclick: act, ...props });
      this.input = make("input", {
        id, type: "text", dir: "auto", autocomplete: "off", autocapitalize: "none", spellcheck: false, value: first.context.join(" "),
        aria: { describedby: id + "h" }, oninput: () => this.update(150), onfocus: () => this.update(),
      });
      const write = text => { this.input.value = text; this.input.scrollLeft = 1e6; this.update(); };
      this.last = button(SAY.last, () => write(this.input.value.trim().replace(/\s*\S+$/, "")));
      const steps = Math.ceil(PER_DECADE * Math.log10(this.total / SMALLEST));
      this.slider = make("input", { id: id + "s", type: "range", min: 0, max: steps, step: 1, oninput: () => this.update() });
      this.slider.value = steps;
      this.out = make("output", { htmlFor: id + "s" });
      this.hint = make("p", { class: "hint", id: id + "h" });

      this.rows = Array.from({ length: ORDERS }, (_, k) => {
        const r = { nexts: Array.from({ length: SHOWN }, () => {
          const w = make("bdi", { class: "word" }), c = make("span"), p = make("span"), bar = make("i");
          const b = button("", () => write(`${this.input.value.trim()} ${b.value}`.trim()), { class: "next", title: SAY.append });
          b.append(w, make("span", { class: "bar", aria: { hidden: true } }, bar), make("span", { class: "count" }, c, " ", p));
          return { b, w, c, p, bar };
        }) };
        r.context = make("bdi"); r.seen = make("b"); r.times = make("span", { class: "unit" });
        r.kinds = make("b"); r.kind = make("span", { class: "unit" }); r.none = make("span", { class: "none" });
        const cell = (c, ...inner) => make("div", { class: c, aria: { role: "cell" } }, ...inner);
        r.row = make("div", { class: "row", aria: { role: "row" } },
          make("div", { class: "n", aria: { role: "rowheader" } }, String(k + 1)), cell("context", r.context),
          cell("seen", r.seen, r.times), cell("kinds", r.kinds, r.kind), cell("nexts", r.none, ...r.nexts.map(x => x.b)));
        return r;
      });
      this.shares = Array.from({ length: ORDERS }, (_, k) => {
        const bar = make("i"), value = make("b"), mark = make("u"), [unseen, of] = first.unseen[k];
        mark.style.left = 100 * unseen / of + "%";
        return { bar, value, li: make("li", {}, make("span", {}, `n = ${k + 1}`), make("span", { class: "bar", aria: { hidden: true } }, bar, mark), value) };
      });
      this.newText = make("p"); this.linesTitle = make("p", { class: "title", id: id + "l" });
      this.quotes = make("ul", { class: "quotes", aria: { labelledby: id + "l" } });

      return [
        make("div", { class: "controls" },
          make("div", { class: "field" }, make("label", { htmlFor: id }, SAY.context), this.input,
            this.last, button(SAY.clear, () => write(""))),
          this.hint,
          choices(SAY.examples, first.examples.map(t => [t, () => write(t)])),
          make("div", { class: "size" }, make("label", { htmlFor: id + "s" }, SAY.size), this.out,
            make("div", { class: "range" }, make("span", { aria: { hidden: true } }, num(SMALLEST)), this.slider, make("span", { aria: { hidden: true } }, num(this.total))))),
        this.says,
        make("div", { class: "table", aria: { role: "table", label: SAY.table } },
          make("div", { class: "row head", aria: { role: "row" } }, ...SAY.heads.map(t => make("div", { aria: { role: "columnheader" } }, t))),
          ...this.rows.map(r => r.row)),
        make("div", { class: "below" },
          make("div", {}, make("p", { class: "title", id: id + "u" }, SAY.newTitle), this.newText,
            make("ul", { class: "shares", aria: { labelledby: id + "u" } }, ...this.shares.map(s => s.li))),
          make("div", {}, this.linesTitle, this.quotes)),
        make("p", { class: "note" }, SAY.note),
      ];
    }

    /* The tokens in the field. Phones type curly quotes, the corpus has straight ones. */
    typed() { return tokenise(this.input.value.slice(-2000).replace(/[‘’]/g, "'").replace(/[“”]/g, '"')); }

    get size() { return Math.min(this.total, Number((SMALLEST * 10 ** (this.slider.value / PER_DECADE)).toPrecision(2))); }

    /* Count and draw after `wait` ms without another change. */
    update(wait = 0) {
      this.showSize();
      clearTimeout(this.timer);
      this.timer = setTimeout(async () => {
        const slow = setTimeout(() => this.say([SAY.loading]), 150);
        try {
          const counts = await load();
          this.total = counts.ids.length;
          this.show(counts.view(this.typed().slice(1 - ORDERS), this.size));
        } catch (error) { this.say([SAY.failed]); }
        clearTimeout(slow);
      }, wait);
    }

    showSize() {
      const all = this.size === this.total;
      this.out.textContent = SAY.tokens(this.size) + (all ? SAY.all : "");
      this.slider.setAttribute("aria-valuetext", this.out.textContent);
    }

    show(v) {
      const { context } = v, forgotten = this.typed().length > context.length;
      this.showSize();
      this.hint.textContent = forgotten ? SAY.forgets(context) : SAY.hint;
      this.say(this.summary(v));
      this.rows.forEach((r, k) => {
        const row = v.rows[k], [seen, kinds, top] = row || [0, 0, []];
        r.row.classList.toggle("lm-x-off", !row);
        r.context.textContent = !k ? SAY.none : row ? context.slice(context.length - k).join(" ") : SAY.more(k - context.length);
        r.seen.textContent = row ? num(seen) : ""; r.times.textContent = row ? SAY.times(seen) : "";
        r.kinds.textContent = row ? num(kinds) : ""; r.kind.textContent = row ? SAY.kinds(kinds) : "";
        r.none.textContent = row && !seen ? SAY.zero : "";
        r.nexts.forEach(({ b, w, c, p, bar }, j) => {
          const lost = b === document.activeElement && !top[j];
          b.hidden = !top[j];
          if (lost) this.last.focus(); // a dead end: the way back
          if (!top[j]) return;
          const [word, count] = top[j];
          b.value = word; w.textContent = /[\p{L}0-9]/u.test(word) ? word : quote(word); // a bare comma is easily overlooked
          c.textContent = num(count); p.textContent = (count / seen).toFixed(3); bar.style.width = 100 * count / seen + "%";
        });
      });
      v.unseen.forEach(([k, of], i) => {
        const share = (100 * k / of).toFixed(1) + " %";
        this.shares[i].value.textContent = share; this.shares[i].bar.style.width = share.replace(" ", "");
      });
      const held = v.unseen[0][1];
      this.newText.textContent = SAY.newText(held, Math.min(v.size, v.tokens - held));
      const longest = v.rows.findLastIndex(r => r[0]);
      this.linesTitle.textContent = v.lines.length ? SAY.lines(context.slice(context.length - longest)) : SAY.noLines;
      this.quotes.replaceChildren(...v.lines.map(([left, match, next, right, title]) =>
        make("li", {}, left, make("mark", {}, match), make("b", {}, next), right + " ", make("cite", {}, title))));
      if (!v.lines.length) this.quotes.append(make("li", {}, SAY.noMatch));
    }
  });
})();
