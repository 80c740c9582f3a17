"""Plugins are found without being imported, loaded when used, and skipped by name when they fail."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.plugins.packages import lay_out
from trimtab.plugins.context import MethodContext
from trimtab.plugins.errors import PluginError
from trimtab.plugins.line import Line
from trimtab.plugins.manager import BUILT_IN, Plugins
from trimtab.plugins.programs import compose
from trimtab.vectors.recipe_files import find

HOOK = "from trimtab.plugins.hooks import hookimpl\n@hookimpl\n"
RECIPES = """
from pathlib import Path
from trimtab.plugins.hooks import hookimpl
from trimtab.plugins.kinds import RecipeSource

@hookimpl
def trimtab_recipe_sources():
    return [RecipeSource(name="{name}", summary="Recipes.", folder=Path(__file__).parent)]
"""
METHOD = """
from trimtab.plugins.hooks import hookimpl
from trimtab.plugins.methods.ica import Ica

class Other(Ica):
    name = "{name}"
    summary = "Another one."

@hookimpl
def trimtab_methods():
    return [Other()]
"""
LATE = """
async def steer(self, line, model):
    raise KeyError("key")

Other.steer = steer
"""

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs a package with one plugin of that name, for this test."""

    def installed(name: str, source: str, *, plugin: str = "") -> None:
        folder = tmp_path / name
        folder.mkdir()
        lay_out(folder, name, {plugin or name: f"plugin_{name}"}, {f"plugin_{name}": source})
        monkeypatch.syspath_prepend(folder)
        monkeypatch.delitem(sys.modules, f"plugin_{name}", raising=False)

    return installed


def test_the_built_in_methods_are_plugins_like_any_other() -> None:
    plugins = Plugins.discover()
    assert set(BUILT_IN) <= set(plugins.names)
    for name in BUILT_IN:
        assert plugins.method(name).name == name
    assert not Plugins.built_in().skipped


def test_finding_imports_nothing(install: Install) -> None:
    install("unseen", "raise AssertionError('It was imported.')")
    plugins = Plugins.discover()
    assert "unseen" in plugins.names and not plugins.loaded
    assert plugins.package("unseen") == "unseen 1.0"
    assert "plugin_unseen" not in sys.modules


def test_a_method_of_the_plugins_name_is_found_without_loading_others(install: Install) -> None:
    install("unseen", "raise AssertionError('It was imported.')")
    plugins = Plugins.discover()
    plugins.method("conva")
    assert plugins.loaded == ("conva",)
    assert not plugins.skipped


def test_what_a_plugin_brings_is_found_under_its_own_name(install: Install) -> None:
    install("many", METHOD.format(name="other"))
    install("words", RECIPES.format(name="theirs"))
    plugins = Plugins.discover()
    assert plugins.method("other").summary == "Another one."
    assert list(plugins.recipe_sources()) == ["theirs"]
    assert not plugins.engines() and not plugins.judges() and not plugins.pack_importers()


FAILURES = {
    "absent": ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'"),
    "syntax": ("def", "SyntaxError"),
    "exits": ("raise SystemExit(3)", "SystemExit: 3"),
    "raises": (f"{HOOK}def trimtab_methods(): raise ValueError('no\\x1b luck')", "ValueError: no luck"),
    "unknown": (f"{HOOK}def trimtab_lunch(): return []", "trimtab_lunch, which is no hook of this version"),
    "arguments": (f"{HOOK}def trimtab_methods(model): return []", "model"),
    "single": (f"{HOOK}def trimtab_methods(): return 7", "answers with a int instead of a sequence"),
    "classes": (f"{HOOK}def trimtab_methods(): return [dict]", "brings dict, which is no method"),
    "judges": (f"{HOOK}def trimtab_judges(): return ['me']", "brings str, which is no judge"),
    "nameless": (METHOD.format(name="Not A Name"), "something called 'Not A Name'"),
    "takes": (METHOD.format(name="takes") + "\nOther.takes = (int,)", "does not say what it takes"),
    "options": (METHOD.format(name="options") + "\nOther.options = dict", "are no MethodOptions"),
    "level": (METHOD.format(name="level") + "\nOther.level = 3", "does not say what its level is"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_plugin_that_fails_is_skipped_with_the_reason(install: Install, name: str) -> None:
    source, reason = FAILURES[name]
    install(name, source)
    plugins = Plugins.discover()
    assert set(BUILT_IN) <= set(plugins.methods())
    [skipped] = plugins.skipped
    assert (skipped.name, skipped.package) == (name, f"{name} 1.0")
    assert reason in skipped.reason
    assert str(skipped).isprintable()
    assert name not in plugins.loaded
    with pytest.raises(PluginError, match=f"The plugin {name} cannot be used"):
        plugins.load(name)


async def test_a_failure_while_steering_is_told_by_the_methods_name(
    install: Install, context: MethodContext
) -> None:
    install("late", METHOD.format(name="late") + LATE)
    line = Line(source=find("power", "en"), method="late")
    with pytest.raises(PluginError, match=r"The method late failed with power: KeyError: 'key'\."):
        await compose((line,), Plugins.discover(), context)


def test_a_failed_plugin_is_told_of_when_its_method_is_asked_for(install: Install) -> None:
    install("broken", "import no_such_library")
    with pytest.raises(
        PluginError, match=r"no method broken\. The plugin broken \(broken 1\.0\) is skipped: Mod"
    ):
        Plugins.discover().method("broken")


def test_the_name_of_a_built_in_plugin_is_taken(install: Install) -> None:
    install("usurper", METHOD.format(name="conva"), plugin="conva")
    plugins = Plugins.discover()
    assert plugins.method("conva").summary.endswith("(ConVA).")
    [skipped] = plugins.skipped
    assert skipped.reason == "Trimtab itself has a plugin of that name"
    plugins.load_all()
    assert "conva" in plugins.loaded


def test_the_name_of_a_built_in_method_is_taken(install: Install) -> None:
    install("usurper", METHOD.format(name="conva"))
    plugins = Plugins.discover()
    plugins.load_all()
    assert plugins.method("conva").summary.endswith("(ConVA).")
    assert [each.reason for each in plugins.skipped] == ["its method conva has another's name"]


def test_a_plugin_that_is_not_there_is_named() -> None:
    with pytest.raises(PluginError, match="no plugin magic"):
        Plugins.built_in().load("magic")
