"""Recipes as text: what is read, what is refused and how the error helps, what the hash stands for."""

from __future__ import annotations

import contextlib
import time
import tomllib
import unicodedata
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vectors.recipes import sound
from trimtab.vectors import schema
from trimtab.vectors.errors import RecipeError
from trimtab.vectors.recipe import MAX_BYTES, Anchors, Lists, Pair, Recipe, Unrelated, load, parse
from trimtab.vectors.recipe_example import EXAMPLES, example

PLAIN = """\
id = "care"
name = "Care"
meaning = "Looking twice before something can go wrong."

[anchors]
positive = [
  "safe",
  "secure",
]
negative = ["risky"]

[[pairs]]
person = "first"
form = "statement"
positive = "I lock the shed at night."
negative = "I leave the shed open at night."

[[pairs]]
positive = "She reads the contract first."
negative = "She signs the contract first."

[questions.validation]
work = ["Should I read it all?"]

[questions.test]
work = ["Should she read it all?"]
"""


def refusal(text: str) -> RecipeError:
    with pytest.raises(RecipeError) as caught:
        parse(text, "care.toml")
    return caught.value


def changed(old: str, new: str) -> str:
    assert old in PLAIN
    return PLAIN.replace(old, new, 1)


def test_a_recipe_is_read_with_all_its_parts() -> None:
    recipe = parse(PLAIN)
    assert (recipe.id, recipe.language, recipe.group) == ("care", "en", "own")
    assert recipe.anchors.positive == ("safe", "secure")
    assert recipe.pairs[0].person == "first" and recipe.pairs[1].person is None
    assert recipe.questions.of("validation") == ("Should I read it all?",)


def test_a_recipe_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        parse(PLAIN).name = "Other"  # type: ignore[misc]


def test_texts_of_several_lines_are_joined_and_questions_keep_their_lines() -> None:
    text = changed('"I lock the shed at night."', '"""I lock\n  the shed\n\tat night."""')
    text = text.replace(
        '["Should I read it all?"]', "['''What does this print?\nfor x in y:\n    print(x)''']"
    )
    recipe = parse(text)
    assert recipe.pairs[0].positive == "I lock the shed at night."
    assert recipe.questions.of("validation") == ("What does this print?\nfor x in y:\n    print(x)",)


def test_a_file_from_windows_reads_the_same(tmp_path: Path) -> None:
    path = tmp_path / "care.toml"
    path.write_bytes(b"\xef\xbb\xbf" + PLAIN.replace("\n", "\r\n").encode())
    assert load(path) == parse(PLAIN)


@pytest.mark.parametrize(
    ("old", "new", "where", "what", "mend"),
    [
        ("negative = \"She", "negativ = \"She", "pair 2, negativ (line 20)", "`negativ` is no key of a pair", "`neg"),
        ('person = "first"', 'person = "frist"', "pair 1, person (line 13)", "`frist` will not do", "`first`"),
        ('form = "statement"', 'form = "poem"', "pair 1, form (line 14)", "`poem`", "`question` or `statement`"),
        ('form = "statement"', "form = 3", "pair 1, form (line 14)", "a number", "`question` or `statement`"),
        ('positive = "She reads the contract first."\n', "", "pair 2 (line 18)", "`positive` is missing", "Add it"),
        ('"She reads the contract first."', '"   "', "pair 2, positive (line 19)", "empty", "Fill it in"),
        ('"She reads the contract first."', "7", "pair 2, positive (line 19)", "a number, not text", "quotes"),
        ('"She reads the contract first."', '"a\\u202eb"', "pair 2, positive (line 19)", "U+202E", "Take it out"),
        ('"She reads the contract first."', '"a\\u001b[2J"', "pair 2, positive (line 19)", "U+001B", "Take it out"),
        ('"She reads the contract first."', '"zero\\u200bwidth"', "pair 2, positive (line 19)", "U+200B", "Take"),
        ('  "secure",', '  "very secure",', "anchors.positive 2 (line 8)", "`very secure`", "single words"),
        ('id = "care"', 'id = "Take Care"', "id (line 1)", "`Take Care`", "lower case letters"),
        ('id = "care"', "ids = 'care'", "ids (line 1)", "`ids` is no key of a recipe", "Did you mean `id`?"),
        ("[anchors]", "[anchor]", "anchor (line 5)", "`anchor`", "`anchors`"),
        ("[questions.test]", "[questions.tests]", "questions.tests (line 25)", "[questions]", "`test`"),
        ('work = ["Should she', 'work = "x" #["', "questions.test.work (line 26)", "text, not a list", '["..."'),
        ('["Should she read it all?"]', '["One?", 2]', "questions.test.work 2 (line 26)", "a number", "quotes"),
        ('name = "Care"', 'name = "Care', "line 2", "no TOML", "straight double quotes"),
        ('name = "Care"', "name = “Care”", "line 2", "no TOML", "straight double quotes"),
        ('name = "Care"', 'name = "Care"\nname = "Caring"', "line 3", "overwrite", "quotes"),
    ],
)  # fmt: skip
def test_an_error_names_the_file_the_entry_its_line_and_the_mend(
    old: str, new: str, where: str, what: str, mend: str
) -> None:
    error = refusal(changed(old, new))
    assert error.what.startswith(f"care.toml, {where}: ")
    assert what in error.what
    assert mend in error.hint


def test_all_faults_are_told_at_once() -> None:
    text = changed('name = "Care"', 'nam = "Care"').replace('"first"', '"firts"')
    error = refusal(text)
    assert [fault.where for fault in error.faults] == ["nam (line 2)", "pair 1, person (line 13)"]
    assert "(1 more)" in error.what


def test_pairs_written_inline_are_found_too() -> None:
    text = PLAIN.partition("[anchors]")[0] + (
        'pairs = [\n  {positive = "a b", negative = "a c"},\n  {positive = "d e",  negatve = "d f"},\n]\n'
    )
    assert refusal(text).what.startswith("care.toml, pair 2, negatve (line 7): ")


def test_an_error_shows_no_control_characters() -> None:
    error = refusal(changed('id = "care"', '"\\u001b]0;x\\u0007\\u202e" = 1'))
    assert not set("\x1b\x07\u202e") & set(str(error))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"\xff\xfe" + PLAIN.encode("utf-16-le"), "UTF-8"),
        (b'name = "Care"\nmeaning = "caf\xe9"\n', "line 2: it is not UTF-8"),
        (b"#" * (MAX_BYTES + 1), "larger than 2 MB"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused(tmp_path: Path, content: bytes, what: str) -> None:
    path = tmp_path / "care.toml"
    path.write_bytes(content)
    with pytest.raises(RecipeError, match=what):
        load(path)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.toml", Path("/dev/zero")):
        with pytest.raises(RecipeError, match="There is no recipe at"):
            load(path)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        "x = " + "[" * 200_000,
        "x = " + "{a=" * 100_000,
        "a." * 500_000 + "b = 1",
        "[" + "a." * 200_000 + "b]\n" + "c = 1\n" * 100_000,
        '"""\\' * 200_000,
        "'" * 1_000_001,
        "," * 1_000_000,
        "x = " + "9" * 1_000_000,
        "[[pairs]]\n" * 150_000,
        "x = 1\n" * 200_000,
        "x = [" + "1," * 240_000,
        "".join(f"k{number} = 1\n" for number in range(100_000)),
        f"{'k' * 1_000_000} = 1\n",
        PLAIN.replace("statement", "statement" * 200_000),
        PLAIN.replace("I lock the shed", "I lock the shed " * 100_000),
    ],
    ids=lambda text: f"{text[:12]!r}",
)
def test_a_text_made_to_hang_is_refused_within_seconds(text: str) -> None:
    began = time.process_time()
    refusal(text)
    assert time.process_time() - began < 8


@given(st.text(alphabet="[]{}=.,\"'\\#\n \tabpairs1", max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_or_refused(text: str) -> None:
    with pytest.raises(RecipeError):
        parse(text)


@given(st.integers(0, len(PLAIN) - 1), st.sampled_from("[]{}=.,\"'\\#\nx"))
@settings(max_examples=300, deadline=None)
def test_a_recipe_with_one_character_changed_is_read_or_refused(at: int, character: str) -> None:
    with contextlib.suppress(RecipeError):
        parse(PLAIN[:at] + character + PLAIN[at + 1 :])


LINE = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cf", "Cn", "Zl", "Zp", "Zs"]),
    min_size=1,
    max_size=30,
)
WORD = st.text(st.characters(codec="ascii", categories=["Ll"]), min_size=1, max_size=10)
LISTS = st.dictionaries(LINE, st.lists(LINE, max_size=3), max_size=3)


@given(
    name=LINE, scenes=LISTS, others=LISTS, anchors=st.lists(WORD, max_size=4),
    pairs=st.lists(st.tuples(LINE, LINE, st.sampled_from(["first", "third", None])), min_size=1, max_size=4),
)  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_what_is_written_reads_back_the_same(
    name: str,
    scenes: dict[str, list[str]],
    others: dict[str, list[str]],
    anchors: list[str],
    pairs: list[tuple[str, str, str | None]],
) -> None:
    def same(text: str) -> str:
        return unicodedata.normalize("NFC", text)

    def lists(table: dict[str, list[str]]) -> dict[str, tuple[str, ...]]:
        return {same(scene): tuple(map(same, texts)) for scene, texts in table.items()}

    recipe = Recipe(
        id="care",
        name=same(name),
        meaning=same(name),
        anchors=Anchors(positive=tuple(anchors)),
        pairs=tuple(
            Pair(positive=same(a), negative=same(b), person=person)  # type: ignore[arg-type]
            for a, b, person in pairs
        ),
        questions=Lists(validation=lists(scenes), test=lists(others)),
        unrelated=Unrelated(include=("common",), test=lists(scenes)),
    )
    assert parse(recipe.to_toml()) == recipe


def test_the_hash_stands_for_the_content_and_not_for_the_layout() -> None:
    one = parse(PLAIN)
    other = parse(
        "# a comment\n" + PLAIN.replace('name = "Care"\n', "").replace("id =", "name = 'Care'\nid =")
    )
    explicit = parse(PLAIN.replace("[anchors]", 'language = "en"\nsource = ""\n[unrelated]\n[anchors]'))
    assert one.digest == other.digest == explicit.digest == parse(one.to_toml()).digest
    assert one.digest != parse(PLAIN.replace("at night", "at noon")).digest


def test_the_hash_of_a_recipe_stays_what_it_is() -> None:
    assert parse(PLAIN).digest == "9a36826982f751d7496f005023f2eeb6209910dcf883b28be77139bb022b2ad4"


def test_the_shipped_schema_is_the_one_of_the_types() -> None:
    assert schema.shipped() == schema.text(), "Run: python -m tools.recipe_schema"


def valid(document: object) -> bool:
    return bool(jsonschema.Draft7Validator(schema.schema()).is_valid(document))


def test_the_schema_takes_what_is_read_and_refuses_what_is_refused() -> None:
    jsonschema.Draft7Validator.check_schema(schema.schema())
    assert valid(tomllib.loads(PLAIN))
    assert valid(tomllib.loads(sound().to_toml()))
    for old, new in (
        ("negative = \"She", "negativ = \"She"),
        ('person = "first"', 'person = "frist"'),
        ('"She reads the contract first."', "7"),
        ('"secure",', '"very secure",'),
        ('id = "care"', 'id = "Take Care"'),
        ("[questions.test]", "[questions.tests]"),
        ('name = "Care"\n', ""),
        ('["Should she read it all?"]', '"Should she?"'),
    ):  # fmt: skip
        text = changed(old, new)
        refusal(text)
        assert not valid(tomllib.loads(text))


def test_every_key_is_explained_to_editors() -> None:
    def unexplained(node: dict[str, object], path: str = "") -> list[str]:
        properties = node.get("properties")
        if not isinstance(properties, dict):
            return []
        missing = [f"{path}.{key}" for key, value in properties.items() if "description" not in value]
        for key, value in properties.items():
            missing += unexplained(value.get("items", value), f"{path}.{key}")
        return missing

    assert unexplained(schema.schema()) == []


def test_the_example_parses_and_shows_every_kind_of_pair() -> None:
    recipe = parse(example("self-made"))
    assert (recipe.id, recipe.name) == ("self-made", "Self made")
    assert {(pair.person, pair.form) for pair in recipe.pairs} == {
        (person, form) for person in ("first", "third") for form in ("statement", "question")
    }
    assert {pair.positive for pair in recipe.pairs} == EXAMPLES
