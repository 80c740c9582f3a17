"""`trimtab recipe` as users run it: new, check, list, show, and finding recipes by id, path and language."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.vectors.recipes import sound
from trimtab.cli import application
from trimtab.vectors.checking import check_all
from trimtab.vectors.errors import RecipeError
from trimtab.vectors.recipe import parse
from trimtab.vectors.recipe_example import SCHEMA_FILE
from trimtab.vectors.recipe_files import complete, find, known, locate, own_folder


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder of their own, empty."""
    monkeypatch.setenv("TRIMTAB_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "data" / "recipes"


def recipe(*arguments: str) -> Result:
    return CliRunner().invoke(application, ["recipe", *arguments])


def put(folder: Path, name: str = "care.toml", **changes: str) -> Path:
    """The sound recipe as a file, with words replaced in its text."""
    text = sound().to_toml()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_new_check_and_show_work_by_id(home: Path) -> None:
    made = recipe("new", "patience")
    assert made.exit_code == 0
    assert str(home / "patience.toml") in made.output
    assert (home / SCHEMA_FILE).is_file()
    assert (home / "patience.toml").read_text(encoding="utf-8").startswith(f"#:schema ./{SCHEMA_FILE}\n")
    checked = recipe("check", "patience")
    assert checked.exit_code == 1
    assert "what a new file starts with" in checked.output
    shown = recipe("show", "patience")
    assert parse(shown.output) == find("patience")


def test_new_writes_where_it_is_told_and_never_over_a_file(tmp_path: Path) -> None:
    assert recipe("new", "patience", "--out", str(tmp_path)).exit_code == 0
    assert recipe("new", "patience", "--out", str(tmp_path / "mine" / "calm.toml")).exit_code == 0
    assert (tmp_path / "mine" / "calm.toml").is_file()
    (tmp_path / "patience.toml").write_text("mine", encoding="utf-8")
    again = recipe("new", "patience", "--out", str(tmp_path))
    assert again.exit_code == 1
    assert "already there" in again.output
    assert (tmp_path / "patience.toml").read_text(encoding="utf-8") == "mine"


def test_new_can_print_instead(home: Path) -> None:
    assert parse(recipe("new", "patience", "--out", "-").output).id == "patience"
    assert not home.exists()


@pytest.mark.parametrize("id", ["Patience", "../patience", 'a"b', "", "a\nb", "a b"])
def test_new_refuses_what_is_no_id(id: str, home: Path) -> None:
    refused = recipe("new", "--", id)
    assert refused.exit_code == 1
    assert "lower case letters" in refused.output
    assert not home.exists()


def test_new_says_that_it_hides_a_shipped_recipe() -> None:
    shipped = next(place.id for place in known() if place.origin == "shipped")
    assert "yours now comes first" in recipe("new", shipped).output


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    refused = recipe("new", "patience", "--out", str(tmp_path / "file" / "x.toml"))
    assert refused.exit_code == 1
    assert len(refused.output.splitlines()) == 1


def test_check_passes_a_sound_recipe_and_names_lines_of_a_broken_one(tmp_path: Path) -> None:
    path = put(tmp_path)
    assert recipe("check", str(path)).exit_code == 0
    path = put(tmp_path, "broken.toml", **{"Olga wears a ribbon": "Olga wears a helmet"})
    broken = recipe("check", str(path))
    assert broken.exit_code == 1
    assert "pair 7 (line" in broken.output
    assert "Fails:" in broken.output


def test_check_reports_what_cannot_be_read_and_goes_on(tmp_path: Path) -> None:
    sound_one = put(tmp_path)
    torn = put(tmp_path, "torn.toml", **{"[anchors]": "[anchor]", 'name = "Care"': "name = 3"})
    both = recipe("check", str(torn), str(sound_one), "nowhere", "--json")
    assert both.exit_code == 1
    reports = json.loads(both.output)["recipes"]
    assert [report["verdict"] for report in reports] == ["fails", "passes with warnings", "fails"]
    assert [finding["where"] for finding in reports[0]["findings"]] == ["name (line 2)", "anchor (line 8)"]


def test_check_shows_nothing_that_could_steer_a_terminal(tmp_path: Path) -> None:
    path = put(tmp_path, **{'id = "care"': '"\\u001b]0;x\\u0007" = 1'})
    assert not set("\x1b\x07") & set(recipe("check", str(path)).output)


def test_check_tells_when_the_file_is_not_called_by_its_id(tmp_path: Path) -> None:
    (report,) = check_all([str(put(tmp_path, "other.toml"))])
    assert any(finding.check == "name" for finding in report.findings)


def test_recipes_checked_together_may_not_tune_on_what_another_tests(tmp_path: Path) -> None:
    one = put(tmp_path)
    swapped = {"[questions.validation]": "[questions.other]", "[questions.test]": "[questions.validation]"}
    two = put(tmp_path / "two", **swapped)
    two.write_text(
        two.read_text(encoding="utf-8").replace("[questions.other]", "[questions.test]"), encoding="utf-8"
    )
    together = check_all([str(one), str(two)])[-1]
    assert together.name == "together"
    assert any("cannot be tested" in finding.what for finding in together.findings)


def test_the_users_recipe_hides_the_shipped_one_of_its_language(home: Path) -> None:
    shipped = next(place for place in known() if place.origin == "shipped")
    assert locate(shipped.id).place.origin == "shipped"
    put(home, f"{shipped.id}.toml", **{'id = "care"': f'id = "{shipped.id}"'})
    assert locate(shipped.id).place.origin == "yours"
    assert locate(shipped.id, "en-GB").place.origin == "yours"
    assert f"{shipped.id} " in recipe("list").output
    assert "hidden by yours" in recipe("list").output


def test_minnows_recipes_are_found_when_its_language_is_asked_for() -> None:
    assert locate("security").place.origin == "shipped"
    assert locate("security", "minnow").place.origin == "minnow"
    assert find("politeness").language == "minnow"


def test_a_recipe_that_is_not_there_is_named_with_the_nearest() -> None:
    with pytest.raises(RecipeError) as caught:
        find("securty")
    assert caught.value.hint == "Did you mean security?"
    assert recipe("show", "securty").exit_code == 1


def test_a_file_whose_name_is_not_its_id_is_not_found_by_it(home: Path) -> None:
    put(home, "caring.toml")
    with pytest.raises(RecipeError, match="calls itself care"):
        find("caring")


def test_included_lists_become_part_of_the_complete_recipe(home: Path) -> None:
    (home / "unrelated").mkdir(parents=True)
    (home / "unrelated" / "few.toml").write_text(
        'id = "few"\nname = "Few"\n[validation]\nfacts = ["How far is the sun?"]\n', encoding="utf-8"
    )
    path = put(home, **{"[unrelated.validation]": '[unrelated]\ninclude = ["few"]\n[unrelated.validation]'})
    whole = complete(find(path))
    assert whole.unrelated.of("validation") == ("What is the capital of Peru?", "How far is the sun?")
    assert not whole.unrelated.include
    assert whole.digest != find(path).digest


def test_the_list_names_what_cannot_be_read(home: Path) -> None:
    home.mkdir(parents=True)
    (home / "torn.toml").write_text("id = ", encoding="utf-8")
    listed = recipe("list", "--json")
    rows = {(row["id"], row["origin"]): row for row in json.loads(listed.output)}
    assert "no TOML" in rows["torn", "yours"]["trouble"]
    assert rows["security", "shipped"]["pairs"] == 100


def test_the_list_can_be_of_one_language() -> None:
    assert {
        row["language"] for row in json.loads(recipe("list", "--language", "minnow", "--json").output)
    } == {"minnow"}


def test_show_can_tell_where_a_file_is(home: Path) -> None:
    path = put(home)
    assert recipe("show", "care", "--path").output.strip() == str(path)
    assert own_folder() == home


@pytest.mark.parametrize("command", ["new", "check", "list", "show"])
def test_help_ends_with_two_examples(command: str) -> None:
    _, examples = recipe(command, "--help").output.split("Examples:\n")
    lines = examples.strip().splitlines()
    assert len(lines) == 2
    assert all(line.strip().startswith("trimtab recipe") for line in lines)


def test_nothing_heavy_is_imported_to_check_a_recipe() -> None:
    code = (
        "import sys; from trimtab.cli import application; from click.testing import CliRunner;"
        "CliRunner().invoke(application, ['recipe', 'check', 'security']); print(*sys.modules)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    loaded = set(answer.stdout.split())
    assert "trimtab.vectors.pair_checks" in loaded
    assert {"numpy", "torch", "llama_cpp", "textual", "gguf", "jinja2"} & loaded == set()
