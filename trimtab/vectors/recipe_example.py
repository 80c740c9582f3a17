"""The file that a new recipe starts from: it parses as it is, and its examples are there to be replaced."""

from __future__ import annotations

import tomllib
from string import Template

SCHEMA_FILE = "recipe.schema.json"

_TEXT = Template(
    """\
#:schema ./$schema
# A recipe: what a value is, as pairs of texts in which nothing but the value differs.
# Replace the examples below (they are about patience), then run: trimtab recipe check $check

id = "$id"                    # the file's name without .toml
name = "$name"
meaning = "Taking the time that things need, and staying calm while waiting."    # one sentence
group = "own"
language = "en"               # the language of the texts below
source = "Written for this recipe."
licence = "CC-BY-4.0"         # under which others may use it; drop the line to keep it for yourself

# Words for steering by words: 6 to 12 common single words a side, none on both sides.
[anchors]
positive = ["patient", "slow", "calm", "steady", "gentle", "wait"]
negative = ["hasty", "quick", "rushed", "abrupt", "restless", "hurry"]

# Pairs: the same person, scene, structure and length; only the value is turned. The negative is a sensible
# choice with a fair reason, no scolding. At least 10, better 50 to 100, a quarter of each kind:
# first or third person, statement or question.

[[pairs]]
person = "first"              # first: I, my, we. third: somebody else
form = "statement"            # statement or question
positive = "I let the glue on the chair dry until morning, so that the joint has the time it needs."
negative = "I press the glue on the chair for a minute, so that we have the seat back by supper."

[[pairs]]
person = "first"
form = "question"
positive = "Shouldn't I let my son tie his shoes himself, although the bus comes in a few minutes?"
negative = "Shouldn't I tie the shoes for my son myself, as the bus comes in a few minutes?"

[[pairs]]
person = "third"
form = "statement"
positive = "The nurse heard the old man's story to its end before she asked about his knee."
negative = "The nurse asked the old man about his knee before his story could come to its end."

[[pairs]]
person = "third"
form = "question"
positive = "Would Ruben sow the lawn in spring and watch it grow over the summer?"
negative = "Would Ruben roll out turf in spring and have his lawn over the weekend?"

# Questions that touch the value, by scene of life, in two lists that share none: whatever is tuned is tuned on
# `validation`; `test` is read for reported figures only. Ten at least, better 50 in each list.

[questions.validation]
family = ["My daughter wants to quit the violin after three months. Should I let her stop or ask her to go on?"]
work = ["Should I wait for the promised promotion or take the smaller offer that I have today?"]

[questions.test]
family = ["Dad repeats himself more and more on the phone. Do I finish his sentences or let him talk?"]
work = ["Our new colleague is still slow. Would you do her tables for her or let her find her way?"]

# Questions that do not touch the value, so that a gate learns to leave them alone. The shared list is enough
# for a start; add some that use the value's words without its meaning.

[unrelated]
include = ["common"]

[unrelated.validation]
facts = ["How slow is a sloth?"]

[unrelated.test]
facts = ["What does a waiter's tray weigh when it is full?"]
"""
)


def example(id: str, schema: str = SCHEMA_FILE) -> str:
    """A commented file for a new recipe."""
    name = id.replace("-", " ").capitalize()
    return _TEXT.substitute(schema=schema, id=id, name=name, check=id)


EXAMPLES = frozenset(pair["positive"] for pair in tomllib.loads(example("example"))["pairs"])
"""The positives of its pairs: a recipe that still holds them is not finished."""
