"""The figures of the attention chapter, held to the rules of `figure_rules`."""

import numpy as np
import pytest
from figure_rules import RULES, drawn_in

from lmlib.attention import conjunctions
from lmlib.figures import attention

SEEDS = np.array([[0.9, 1.0, 0.95]]).T  # a factor for each seed
FALLING = SEEDS * np.linspace(1.0, 0.2, 7)
PAST = np.tri(15) / np.tri(15).sum(1, keepdims=True)
EXAMPLES = {
    "sentence_weights": lambda: attention.sentence_weights(
        PAST, conjunctions.SENTENCE, conjunctions.PINYIN
    ),
    "gradient_by_distance": lambda: attention.gradient_by_distance(
        [1, 4, 10, 50, 100, 200, 255],
        {
            "RNN": SEEDS * 10.0 ** -np.arange(7),
            "LSTM": SEEDS * 2.0 ** -np.arange(7),
            "CNN": SEEDS * [1, 0.3, 0, 0, 0, 0, 0],
            "dilated CNN": SEEDS * [1, 0.3, 0.3, 0.3, 0.1, 0.1, 0],
            "attention": SEEDS * np.full(7, 1e-3),
            "ALiBi": SEEDS * np.full(7, 2e-3),
        },
    ),
    "accuracy_by_distance": lambda: attention.accuracy_by_distance(
        [1, 4, 16, 64, 127, 256, 512],
        {
            "300 steps": {
                "RNN": FALLING,
                "LSTM": FALLING,
                "CNN": FALLING / 2,
                "dilated CNN": FALLING / 3,
                "attention": SEEDS * np.ones(7),
            },
            "1,500 steps": {"RNN": FALLING, "LSTM": SEEDS * np.ones(7)},
        },
        trained_to=127,
        chance=0.125,
    ),
    "capacity": lambda: attention.capacity(
        [1, 2, 4, 8, 16, 24, 32],
        {"attention": SEEDS * np.ones(7), "LSTM": FALLING, "dilated CNN": FALLING / 2},
        chance=0.125,
    ),
    "positions": lambda: attention.positions(
        {
            title: (
                [7.0, 14, 21, 30, 50, 100, reach],
                60.0,
                dict.fromkeys(("none", "sinusoidal", "learned", "RoPE", "ALiBi"), FALLING),
            )
            for title, reach in (("content", 240.5), ("order", 524.0))
        }
    ),
    "phase_change": lambda: attention.phase_change(
        np.arange(0, 401, 50),
        {
            "2 layers": SEEDS * (np.arange(9) > 3),
            "1 layer": SEEDS * np.full(9, 0.12),
        },
        {
            "previous token\n(layer 1)": SEEDS * (np.arange(9) > 3) * 0.8,
            "induction\n(layer 2)": SEEDS * (np.arange(9) > 3) * 0.9,
        },
    ),
    "dispersion": lambda: attention.dispersion(
        [16, 64, 256, 1024, 4096, 16384, 65536],
        {"as trained": FALLING, "times log n": FALLING + 0.05},
        FALLING,
    ),
    "saturation": lambda: attention.saturation(
        [1, 4, 16, 64, 256, 1024, 4096], {"q·k": 1 - FALLING, "q·k / √D": FALLING / 9}
    ),
    "same_output": lambda: attention.same_output(
        np.full(20, 0.05), np.repeat([0.25, 0.0], [4, 16])
    ),
}


def test_every_figure_of_the_chapter_has_an_example():
    assert drawn_in(attention) == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_figure(rule, name):
    rule(EXAMPLES[name])


@pytest.mark.parametrize("name", EXAMPLES)
def test_names_at_the_lines_do_not_cover_each_other(name):
    figure = EXAMPLES[name]().figure
    figure.canvas.draw()
    for ax in figure.axes:
        boxes = [text.get_window_extent() for text in ax.texts if text.get_text()]
        for k, box in enumerate(boxes):
            for other in boxes[:k]:
                overlap_x = min(box.x1, other.x1) - max(box.x0, other.x0)
                overlap_y = min(box.y1, other.y1) - max(box.y0, other.y0)
                # lines of text touch with their leading: a quarter of a line is no collision
                assert not (overlap_x > 0 and overlap_y > 5), (name, ax.get_title(loc="left"))


@pytest.mark.parametrize("name", EXAMPLES)
def test_figures_use_no_character_that_the_font_lacks(name, recwarn):
    EXAMPLES[name]().png()  # matplotlib warns of a missing glyph
    assert not recwarn.list


def test_alt_text_of_the_sentence_names_its_characters():
    weights = PAST.copy()
    weights[5] = np.eye(15)[0]
    alt = attention.sentence_weights(weights, conjunctions.SENTENCE, conjunctions.PINYIN).alt
    assert "， at 虽 1.00" in alt
    assert "suī rán" in alt


def test_the_path_table_names_all_five():
    text = repr(attention.path_table())
    for name in ("RNN", "LSTM", "CNN, kernel K", "dilated CNN", "self-attention"):
        assert name in text
