"""Markdown in rows: nothing is lost, nothing is wider than it may be, and growing gives what the whole gives."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from trimtab.tui import shown
from trimtab.tui.markdown.blocks import lay_out, plain
from trimtab.tui.markdown.code import LONGEST, coloured
from trimtab.tui.markdown.growing import Growing
from trimtab.tui.markdown.rows import cut, wrapped

WHOLE = """# Title
A paragraph with **bold and *both* of it**, `code`, [a link](https://x.y/z) and ~~gone~~.

- one
- two that goes on for longer than a narrow row can hold, and so is broken

1. first
2. second
   > a quote

```python
def f(x: int) -> str:
    return "[bold]"  # why
```

| a | b |
|---|---|
| 1 | some more words than fit |

日本語のテキストはどこでも折り返すことができます。
averyveryverylongwordthatfitsnowhereatall

---
end
"""
pieces = st.sampled_from(
    ["# ", "- ", "1. ", "> ", "```", "```python\n", "\n", "\n\n", "    ", "|", "|---|", "*", "**", "`", "[", "](", ")",
     "word", "long" * 9, " ", "日本", "<b>", "[bold]", "&amp;", "\\", "---", "===", "🙂", "e\u0301"]
)  # fmt: skip


def rows(text: str, width: int = 40) -> list[str]:
    return [row.text for row in lay_out(text, width).rows]


def styles(text: str) -> dict[str, str]:
    return {said.strip(): style for row in lay_out(text, 80).rows for said, style in row.runs}


def test_each_kind_of_block_is_shown() -> None:
    shown_rows = rows(WHOLE, 44)
    assert shown_rows[0] == "Title"
    for line in (
        "• one", "1. first", "   ▎ a quote", "│ def f(x: int) -> str:", '│     return "[bold]"  # why', "a │ b",
        "─" * 44,
    ):  # fmt: skip
        assert line in [row.rstrip() for row in shown_rows]


def test_words_have_the_style_that_was_asked_for() -> None:
    found = styles("# head\n\n**b** *e* `c` ~~s~~ **x *y***")
    assert found["head"] == "heading"
    assert (found["b"], found["e"], found["c"], found["s"]) == ("strong", "em", "code", "struck")
    assert found["y"] == "strong em"


def test_code_is_coloured_by_its_language_and_kept_as_written() -> None:
    layout = lay_out("```python\nif x:\n    return '日本'\n```", 10)
    assert layout.codes[0].text == "if x:\n    return '日本'"
    assert {style for row in layout.rows for _, style in row.runs} >= {"code-keyword", "code-string"}
    assert all(row.code == 0 for row in layout.rows)


@pytest.mark.parametrize("language", ["", "no-such-language", "x" * 100, "../../etc/passwd", "[bold]"])
def test_code_in_no_known_language_is_plain(language: str) -> None:
    assert coloured("if x:\n  y", language) == [[("if x:", "")], [("  y", "")]]


def test_code_that_is_too_long_is_plain() -> None:
    assert {style for line in coloured("if x\n" * LONGEST, "python") for _, style in line} == {""}


def test_markup_and_html_are_text() -> None:
    text = "[bold]x[/bold] [/] [@click=app.quit]y[/] <script>z</script>\n\n<div>\nblock\n</div>"
    whole = "\n".join(rows(text, 80))
    for part in ("[bold]x[/bold] [/] [@click=app.quit]y[/]", "<script>z</script>", "<div>", "</div>"):
        assert part in whole


def test_a_link_says_where_it_leads() -> None:
    assert rows("[bank](https://evil.example)", 60) == ["bank (https://evil.example)"]
    assert rows("<https://x.y>", 60) == ["https://x.y"]
    assert rows("![a pet](http://p/q.png)", 60) == ["[a pet] (http://p/q.png)"]


def test_a_users_text_keeps_its_lines_and_indentation() -> None:
    assert [row.text for row in plain("a\n    b\n\n* c", 20).rows] == ["a", "    b", "", "* c"]


@pytest.mark.parametrize("width", [13, 20, 44, 100])
def test_nothing_is_wider_than_its_room(width: int) -> None:
    assert max(cell_len(row) for row in rows(WHOLE, width)) <= width


@pytest.mark.parametrize("width", [20, 60])
def test_growing_gives_what_the_whole_gives_on_the_way(width: int) -> None:
    growing = Growing(width)
    for length in range(0, len(WHOLE) + 1, 3):
        said = growing.lay_out(WHOLE[:length])
        assert said == lay_out(WHOLE[:length], width), WHOLE[:length]


def test_another_text_begins_anew() -> None:
    growing = Growing(20)
    growing.lay_out("one\n\ntwo\n\nthree")
    assert growing.lay_out("four") == lay_out("four", 20)


@settings(max_examples=30, deadline=None)
@given(st.lists(pieces, max_size=40).map("".join), st.integers(4, 60))
def test_any_text_can_be_shown(text: str, width: int) -> None:
    layout = lay_out(text, width)
    growing = Growing(width)
    for length in range(0, len(text), 17):
        growing.lay_out(text[:length])
    assert layout.codes == growing.lay_out(text).codes


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab \n日本🙂\u0301é-", max_size=80), st.integers(2, 20))
def test_wrapping_loses_nothing_but_spaces(text: str, width: int) -> None:
    found = wrapped([(text, "")], width)
    assert "".join("".join(row.text.split()) for row in found) == "".join(text.split())
    assert all(cell_len(row.text) <= width for row in found)


def test_deep_nesting_ends() -> None:
    for deep in (
        "> " * 500 + "deep",
        "- " * 500 + "deep",
        "\n".join("  " * at + "- x" for at in range(200)) + "deep",
    ):
        assert "deep" in "".join("".join(rows(deep, 40)).split())


def test_a_row_is_cut_with_an_ellipsis() -> None:
    assert "".join(text for text, _ in cut([("abc", ""), ("日本語", "x")], 6)) == "abc日…"
    assert cut([("abc", "")], 3) == (("abc", ""),)


def test_what_is_shown_has_no_control_codes_and_no_storms() -> None:
    raw = "\x1b[31mred\x1b]0;t\x07 \u202eabc\u202c a" + "\u0301" * 300 + "b\tc\r\nd"
    clean = shown.text(raw)
    assert not set(clean) & set("\x1b\x07\r\u202e\u202c\t")
    assert clean.count("\u0301") == 4
    assert shown.line("a\nb\x1b[0m") == "a b[0m"
