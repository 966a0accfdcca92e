// Renders formulas for sphinx_ext/maths.py: one JSON request a line on stdin, one JSON answer a
// line on stdout, until stdin closes. One process serves the whole build.
"use strict";
const katex = require(process.argv[2]);
const lines = require("node:readline").createInterface({ input: process.stdin });

lines.on("line", (line) => {
  const { tex, display } = JSON.parse(line);
  let answer;
  try {
    answer = {
      html: katex.renderToString(tex, {
        displayMode: display,
        output: "htmlAndMathml", // MathML is what a screen reader hears
        strict: "error",
        throwOnError: true,
      }),
    };
  } catch (error) {
    answer = { error: error.message };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
});
