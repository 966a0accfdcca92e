"""Stored notebooks are canonical, portable and complete; nbval's comparison of outputs bites."""

import copy
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tomllib
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pytest

from tools.notebooks import canonical, execute, find, id_prefix, main, output_alt, to_text

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = sorted((ROOT / "chapters").glob("*.ipynb"))

MEDIAN_LINES = 6
VARYING = {
    "a memory address": r"\b0x[0-9a-f]{6,}",
    "an absolute path": r"(?<![\w./:<-])/(?:home|root|Users|tmp|private|usr|opt|mnt|var)/[\w.-]+"
    r"|\b[A-Z]:\\{1,2}\w|site-packages",
    "a time stamp": r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d|\b\d\d:\d\d:\d\d\b",
}
NOT_PORTABLE = {
    "a MyST role": r"\{[A-Za-z][\w:.+-]*\}`",
    "a MyST directive": r"^\s*(?:`{3,}|~{3,}|:{3,})\s*\{",
    "a colon fence": r"^\s*:{3,}",
    "a MyST label": r"^\s*\([\w-]+\)=\s*$",
    "a MyST substitution": r"\{\{\s*[A-Za-z_]\w*\s*\}\}(?![^$]*\$)",
}
CAPTION = re.compile(r"^\*\*Figure (\d+)\.(\d+)\.\*\*", re.M)
LINK = re.compile(r"(!?)\[([^\]]*)\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)")
FENCE = re.compile(r"^(`{3,}|~{3,}).*?^\1\s*$", re.M | re.S)


def problems(text, path):
    """Everything that keeps this text from being a good stored notebook, one line each."""
    notebook = nbformat.v4.reads(text)
    try:
        if text != to_text(canonical(notebook, id_prefix(path))):
            yield "not canonical (run `python3 run.py nb`, or `git checkout` to undo your changes)"
    except ValueError as error:
        yield str(error)
        return
    yield from _code_problems(notebook)
    yield from _markdown_problems(notebook, path)
    yield from _figure_problems(notebook)


def _code_problems(notebook):
    lengths = []
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        tags = cell.metadata.get("tags", [])
        if "claims" not in tags:
            lengths.append(sum(1 for line in cell.source.splitlines() if line.strip()))
        for output in cell.outputs:
            if output.output_type == "error" and "raises-exception" not in tags:
                yield f"{cell.id}: stores the error {output.ename}"
            shown = {k: v for k, v in output.get("data", {}).items() if k != "image/png"}
            printed = "\n".join([output.get("text", ""), *map(_as_text, shown.values())])
            for what, pattern in VARYING.items():
                if match := re.search(pattern, printed):
                    yield f"{cell.id}: the output shows {what}, {match.group()!r}"
    if lengths and statistics.median(lengths) > MEDIAN_LINES:
        yield f"the median code cell has {statistics.median(lengths)} lines, not {MEDIAN_LINES}"


def _as_text(value):
    return value if isinstance(value, str) else json.dumps(value)


def _markdown_problems(notebook, path):
    for cell in notebook.cells:
        if cell.cell_type != "markdown":
            continue
        for what, pattern in NOT_PORTABLE.items():
            if match := re.search(pattern, cell.source, re.M):
                yield f"{cell.id}: {what} shows raw in JupyterLab, {match.group().strip()!r}"
        for image, words, target in LINK.findall(FENCE.sub("", cell.source)):
            if image and len(words) < 15:
                yield f"{cell.id}: the picture {target} has no alt text that says what it shows"
            file = unquote(target.split("#")[0])
            if file and not re.match(r"[a-z]+:", file) and not (path.parent / file).exists():
                yield f"{cell.id}: dead link {target}"


def _figure_problems(notebook):
    cells, numbers = notebook.cells, []
    for cell, following in zip(cells, [*cells[1:], None], strict=True):
        figures = [
            output
            for output in cell.get("outputs", ())
            if {"image/svg+xml", "image/png"} & set(output.get("data", {}))
        ]
        if not figures:
            continue
        if len(figures) > 1:
            yield f"{cell.id}: draws {len(figures)} figures; a cell draws one"
        missing = {"image/svg+xml", "image/png", "text/plain"} - set(figures[0].data)
        if missing:
            yield f"{cell.id}: the figure lacks {', '.join(sorted(missing))}"
        alt = output_alt(cell) or ""
        if len(alt) < 40:
            yield f"{cell.id}: the figure has no alt text that says what it shows"
        if cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "") != alt:
            yield f"{cell.id}: the cell's alt text is not the figure's"
        caption = CAPTION.match(following.source) if following else None
        if caption:
            numbers.append(caption.groups())
        else:
            yield f"{cell.id}: no caption **Figure k.j.** in the cell after the figure"
    prose = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    if CAPTION.findall(prose) != numbers:
        yield "a caption **Figure k.j.** does not directly follow its figure"
    if [int(j) for _, j in numbers] != list(range(1, len(numbers) + 1)):
        yield f"figures are numbered {', '.join('.'.join(n) for n in numbers)}"
    if len({k for k, _ in numbers}) > 1:
        yield "figures carry the numbers of two chapters"
    mentioned = set(re.findall(r"Figure (\d+)\.(\d+)", prose))
    here = {k for k, _ in numbers}
    yield from (
        f"Figure {k}.{j} is mentioned but does not exist"
        for k, j in sorted(mentioned - set(numbers))
        if k in here
    )


@pytest.mark.parametrize("path", CHAPTERS, ids=[path.stem for path in CHAPTERS])
def test_stored_notebook(path):
    found = list(problems(path.read_text(encoding="utf-8"), path))
    assert not found, "\n".join(found)


# ------------------------------------------------------------- break it on purpose, see it fail

ALT = "Line chart: the unseen share of n-grams rises with n, from 2 % to 95 %."


def new_code(source, name, **parts):
    cell = nbformat.v4.new_code_cell(source, id=f"tiny-{name}", **parts)
    return cell


def new_markdown(source, name):
    return nbformat.v4.new_markdown_cell(source, id=f"tiny-{name}")


def tiny_notebook():
    """A complete small chapter: text, code, a figure with its caption."""
    figure = nbformat.v4.new_output(
        "execute_result",
        {"image/svg+xml": "<svg>1 2</svg>", "image/png": "aGk=", "text/plain": "Figure: 1 2"},
        metadata={"image/svg+xml": {"alt": ALT}, "image/png": {"alt": ALT}},
        execution_count=2,
    )
    total = nbformat.v4.new_output("execute_result", {"text/plain": "3"}, execution_count=1)
    cells = [
        new_markdown("# Tiny\n\nSee [itself](tiny.ipynb#tiny), $x^{2}$ and Figure 1.1.", "title"),
        new_code("1 + 2", "sum", outputs=[total]),
        new_code("draw()", "figure", outputs=[figure]),
        new_markdown("**Figure 1.1.** It rises to 95 %.", "caption"),
    ]
    return canonical(nbformat.v4.new_notebook(cells=cells), "tiny-")


@pytest.fixture
def tiny(tmp_path):
    path = tmp_path / "tiny.ipynb"
    path.write_text(to_text(tiny_notebook()), encoding="utf-8")
    return path


def test_a_good_notebook_has_no_problems(tiny):
    assert list(problems(tiny.read_text(encoding="utf-8"), tiny)) == []


def say(text):
    return lambda nb: nb.cells[0].update(source=text)


def output(text):
    return lambda nb: nb.cells[1].outputs[0]["data"].update({"text/plain": text})


@pytest.mark.parametrize(
    ("complaint", "spoil"),
    [
        ("not canonical", lambda nb: nb.cells[1].update(execution_count=7)),
        ("not canonical", lambda nb: nb.metadata.update(vscode={})),
        ("not canonical", lambda nb: nb.cells[1].metadata.update(execution={"started": 1})),
        ("cell 2 ('1 + 2') has the id '3f2a9c1b'", lambda nb: nb.cells[1].update(id="3f2a9c1b")),
        ("is used twice", lambda nb: nb.cells[3].update(id="tiny-sum")),
        (
            "stores the error KeyError",
            lambda nb: nb.cells[1].outputs.append(
                nbformat.v4.new_output("error", ename="KeyError", evalue="", traceback=[])
            ),
        ),
        ("a memory address", output("<generator object at 0x7f3a5c0d1e40>")),
        ("an absolute path", output("/home/ada/course/data.txt")),
        ("an absolute path", output(r"C:\Users\ada\data.txt")),
        ("a time stamp", output("2026-11-25 04:57:17")),
        ("lines, not 6", lambda nb: [nb.cells[k].update(source="x = 1\n" * 9) for k in (1, 2)]),
        ("a MyST role", say("as {cite}`ba2016` say")),
        ("a MyST directive", say("text\n\n```{note}\ntext\n```")),
        ("a colon fence", say(":::\ntext\n:::")),
        ("a MyST label", say("(sec-zipf)=\n# Zipf")),
        ("a MyST substitution", say("it is {{ share }} here")),
        ("dead link other.ipynb", say("[other](other.ipynb)")),
        ("no alt text", say("![](tiny.ipynb)")),
        ("lacks image/png", lambda nb: nb.cells[2].outputs[0]["data"].pop("image/png")),
        ("no alt text", lambda nb: nb.cells[2].outputs[0]["metadata"].clear()),
        ("not the figure's", lambda nb: nb.cells[2].metadata.pop("mystnb")),
        ("no caption", lambda nb: nb.cells[3].update(source="A figure.")),
        ("numbered 1.2", lambda nb: nb.cells[3].update(source="**Figure 1.2.** It rises.")),
        ("Figure 1.4 is mentioned", say("Look at Figure 1.4.")),
        ("not directly follow", say("**Figure 1.1.** Too early.")),
        (
            "draws 2 figures",
            lambda nb: nb.cells[2].outputs.append(copy.deepcopy(nb.cells[2].outputs[0])),
        ),
    ],
)
def test_each_problem_is_noticed(tiny, complaint, spoil):
    notebook = tiny_notebook()
    spoil(notebook)
    assert any(complaint in problem for problem in problems(to_text(notebook), tiny))


def test_layout_of_the_file_is_noticed(tiny):
    unsorted = json.dumps(json.loads(tiny.read_text(encoding="utf-8")), indent=2)
    assert any("not canonical" in problem for problem in problems(unsorted, tiny))


def test_canonical_is_a_fixed_point_and_changes_no_text():
    notebook = tiny_notebook()
    again = canonical(notebook, "tiny-")
    assert to_text(again) == to_text(notebook)
    assert again.cells[2].metadata["mystnb"]["image"]["alt"] == ALT


def test_executing_twice_gives_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setenv("LMLIB_PROGRESS", "the author's own")
    path = tmp_path / "tiny.ipynb"
    streams = (
        "import sys\nfor f in (sys.stdout, sys.stderr, sys.stdout): print(f.name, file=f, flush=1)"
    )
    cells = [
        new_code(streams, "streams"),
        new_code("hash('the order of a set of words')", "hash"),
        new_code("import os\nos.environ['LMLIB_PROGRESS'] == \"the author's own\"", "progress"),
    ]
    path.write_text(to_text(nbformat.v4.new_notebook(cells=cells)), encoding="utf-8")
    first, second = to_text(execute(path)), to_text(execute(path))
    assert first == second
    printed, _, progress = (cell.outputs for cell in nbformat.v4.reads(first).cells)
    assert [stream.text for stream in printed] == ["stdout\nstdout\n", "stderr\n"]
    assert progress[0].data["text/plain"] == "False"


def test_a_failing_cell_is_named_and_nothing_is_stored(tmp_path, capsys):
    path = tmp_path / "tiny.ipynb"
    cells = [new_code("1", "good"), new_code("1 / 0", "bad"), new_code("2", "never")]
    path.write_text(to_text(nbformat.v4.new_notebook(cells=cells)), encoding="utf-8")
    before = path.read_bytes()
    assert main([str(path)]) == 1
    said = capsys.readouterr().out
    assert "FAILED in cell tiny-bad, nothing stored" in said
    assert "ZeroDivisionError" in said
    assert "\x1b" not in said
    assert path.read_bytes() == before


def test_check_compares_and_storing_stores(tmp_path, capsys):
    path = tmp_path / "tiny.ipynb"
    fresh = new_code("6 * 7", "sum"), new_code("print('same')", "same")
    path.write_text(to_text(nbformat.v4.new_notebook(cells=fresh)), encoding="utf-8")
    before = path.read_bytes()
    assert main(["--check", str(path)]) == 1
    assert "differs (tiny-sum, tiny-same)" in capsys.readouterr().out
    assert path.read_bytes() == before
    assert main([str(path)]) == 0
    assert list(problems(path.read_text(encoding="utf-8"), path)) == []
    assert main(["--check", str(path)]) == 0
    assert "unchanged" in capsys.readouterr().out


def test_find_names_the_chapters_there_are(tmp_path):
    path = tmp_path / "tiny.ipynb"
    path.touch()
    assert find([str(path)]) == [path]
    assert find([]) == CHAPTERS
    with pytest.raises(ValueError, match="no notebook 'sparsty'; the chapters are"):
        find(["sparsty"])


def test_nbval_accepts_true_outputs_and_rejects_others(tmp_path):
    """With the project's own pytest flags: text and SVG are compared, PNG is not."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    settings = settings["tool"]["pytest"]["ini_options"]
    assert "chapters" in settings["testpaths"]
    (tmp_path / "pytest.ini").write_text(f"[pytest]\naddopts = {' '.join(settings['addopts'])}\n")
    code = (
        "class Drawing:\n"
        "    def _repr_mimebundle_(self, **_):\n"
        "        return {'image/svg+xml': '<svg>1</svg>', 'image/png': 'aGk=', 'text/plain': 'D'}\n"
        "Drawing()"
    )
    cells = [new_code("6 * 7", "text"), new_code(code, "svg")]
    path = tmp_path / "tiny.ipynb"
    path.write_text(to_text(nbformat.v4.new_notebook(cells=cells)), encoding="utf-8")
    stored = execute(path)

    right, wrong = copy.deepcopy(stored), copy.deepcopy(stored)
    right.cells[1].outputs[0]["data"]["image/png"] = "AAAA"
    wrong.cells[0].outputs[0]["data"]["text/plain"] = "43"
    wrong.cells[1].outputs[0]["data"]["image/svg+xml"] = "<svg>2</svg>"
    path.unlink()
    (tmp_path / "right.ipynb").write_text(to_text(right), encoding="utf-8")
    (tmp_path / "wrong.ipynb").write_text(to_text(wrong), encoding="utf-8")

    done = _pytest(tmp_path, "-rA")
    assert "PASSED right.ipynb::Cell 0" in done.stdout
    assert "PASSED right.ipynb::Cell 1" in done.stdout
    assert "FAILED wrong.ipynb::Cell 0" in done.stdout
    assert "FAILED wrong.ipynb::Cell 1" in done.stdout
    assert done.returncode == 1

    # As on another machine, the drawing may differ and the text may not.
    shutil.copy(ROOT / "tests" / "other_machine.cfg", tmp_path)
    done = _pytest(tmp_path, "-rA", "--nbval-sanitize-with", "other_machine.cfg")
    assert "FAILED wrong.ipynb::Cell 0" in done.stdout
    assert "PASSED wrong.ipynb::Cell 1" in done.stdout


def _pytest(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=folder,
        env=dict(os.environ, PYTHONUTF8="1"),
        capture_output=True,
        encoding="utf-8",
    )
