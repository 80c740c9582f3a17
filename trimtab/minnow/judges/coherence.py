"""Whether a document keeps its thread: one person, one value until the next cue, answers that fit their questions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from trimtab.minnow.documents import Dilemma, split_turns
from trimtab.minnow.grammar import sentences
from trimtab.minnow.inflect import Person
from trimtab.minnow.judges.values import read_dilemma
from trimtab.minnow.lexicon import Name, Topic
from trimtab.minnow.reading import Reading, read
from trimtab.minnow.trivia import Fact, Request, Sum

_CUES = ("persona.care", "preamble.care", "story.cue", "story.moral")
_TOLD: dict[str, tuple[str, ...]] = {
    "text": ("story.", "film.", "fact."),
    "system": ("persona.", "story."),
    "user": ("preamble.", "story.", "ask."),
}
"""What sentences are taken for, where they could be several things, by who says them."""
_AGAINST = ("persona.not", "preamble.not")
_OPENS = {
    "story.chose": ("story.weigh",),
    "story.end": ("story.decide",),
    "story.reply": ("story.urge",),
    "story.retort": ("story.reply",),
    "story.because": ("story.askwhy",),
}
"""Sentences that only make sense right after some other."""


@dataclass(frozen=True, slots=True)
class Coherence:
    faults: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not self.faults


@dataclass(slots=True)
class _State:
    """What a document has established so far."""

    value: str | None = None
    against: str | None = None
    prompted: bool = False
    departed: bool = False
    faults: list[str] = field(default_factory=list)


def coherent(document: str) -> Coherence:
    """Judges a whole document, plain or ChatML. Sentences that cannot be read are the fluency judge's."""
    state = _State()
    asked: str = ""
    for role, text in split_turns(document):
        if role not in _TOLD and role != "assistant":
            state.faults.append(f"has a turn of {role}")
            continue
        if role == "assistant":
            _answer(state, asked, text)
        else:
            _tell(state, role, text)
            asked = text if role == "user" else ""
    return Coherence(tuple(state.faults))


def _tell(state: _State, role: str, text: str) -> None:
    """A story, a prompt or a question: who and what it is about, and the value that it shows."""
    readings = [reading for part in sentences(text) if (reading := read(part, prefer=_TOLD[role]))]
    told = [reading for reading in readings if reading.group.startswith("story.")]
    if told:
        value = _story(state, told, third=role != "system")
        if value:
            state.value, state.against, state.prompted = value, None, role == "system"
    for reading in readings:
        named = reading.get("value") or reading.get("kind")
        if reading.group in _AGAINST:
            state.value, state.against = None, named
        elif reading.group in _CUES[:2]:
            if named and reading.group == "persona.care" and state.value not in (None, named):
                state.faults.append(f"prompt names {state.value} and {named}")
            state.value, state.against, state.prompted = named, None, role == "system"


def _story(state: _State, told: Sequence[Reading], *, third: bool) -> str | None:
    """The one value of a story; faults for a second value, a second person, or a sentence out of place."""
    value: str | None = None
    names = {who.text for reading in told if (who := _name(reading))}
    if len(names) > 1:
        state.faults.append(f"speaks of {' and '.join(sorted(names))}")
    persons = _shared(told)
    if not persons:
        state.faults.append("changes its person")
    bound = next((reading for reading in told if reading.persons <= {"he", "she"}), None)
    if third and bound and not _name(bound):
        state.faults.append("begins with a pronoun")
    before: Reading | None = None
    for reading in told:
        for shown in _shown(reading):
            if value is not None and shown != value:
                state.faults.append(f"turns from {value} to {shown}")
            value = shown
        _follows(state, before, reading)
        before = reading
    return value


def _shown(reading: Reading) -> list[str]:
    """The values that a sentence of a story speaks for; rival options do not count."""
    out = [reason.value for reason in reading.reasons()]
    if reading.group not in ("story.weigh", "story.urge"):
        out += [action.value for action in reading.actions()]
    named = reading.get("value") or reading.get("kind")
    return [*out, named] if named else out


def _follows(state: _State, before: Reading | None, reading: Reading) -> None:
    needed = _OPENS.get(reading.group)
    if needed and (before is None or before.group not in needed):
        state.faults.append(f"{reading.group} follows {before.group if before else 'nothing'}")
        return
    if before is None:
        return
    left, right = _matters(before), _matters(reading)
    linked = needed or (before.group in ("story.decide", "story.weigh", "story.urge") and right)
    if linked and left and right and not left & right:
        state.faults.append(f"{min(left)} is followed by {min(right)}")


def _matters(reading: Reading) -> set[str]:
    matters = {f"{action.scene}/{action.topic}" for action in reading.actions()}
    about = reading.get("about")
    return matters | {about.id} if isinstance(about, Topic) else matters


def _answer(state: _State, asked: str, text: str) -> None:
    """An answer must be about what was asked, and lean as the thread does."""
    readings = [reading for part in sentences(text) if (reading := read(part, prefer=("lean.", "even.")))]
    if not readings:
        return
    question = read_dilemma(asked)
    if question is not None:
        _lean(state, question, readings)
        return
    if any(
        reading.group.startswith(("lean.", "even.")) and reading.group != "lean.why" for reading in readings
    ):
        state.faults.append("weighs what nobody asked")
    subjects = _subjects(asked)
    for reading in readings:
        for filling in (filling for _, filling in reading.slots if isinstance(filling, Fact | Sum | Request)):
            if not any(_same(filling, subject) for subject in subjects):
                state.faults.append("answers another question")


def _lean(state: _State, question: Dilemma, readings: Sequence[Reading]) -> None:
    offered = {action.id: action.value for action in question.options}
    named: dict[str, None] = {}
    for reading in readings:
        if not reading.group.startswith(("lean.", "even.")):
            state.faults.append("leaves the question")
            return
        for action in reading.actions():
            if action.id not in offered:
                state.faults.append("names what was not offered")
                return
            named[action.value] = None
    if {who.text for reading in readings if (who := _name(reading))} - {
        question.name.text if question.name else ""
    }:
        state.faults.append("speaks of somebody else")
    if not _shared(readings) & {question.person}:
        state.faults.append("speaks to somebody else")
    reasons = {reason.value for reading in readings for reason in reading.reasons()}
    if len(named) == 1:
        (value,) = named
        if reasons - {value}:
            state.faults.append("gives the reason of another value")
        _keep(state, value, set(offered.values()))
    elif not named:
        state.faults.append("names no option")
    elif reasons - named.keys():
        state.faults.append("gives the reason of another value")


def _keep(state: _State, value: str, offered: set[str]) -> None:
    """The thread of leaning answers. A prompt is no law: one departure from it starts a new thread."""
    if value == state.against:
        state.faults.append(f"leans to {value} against the cue")
    if state.against is not None:
        return
    if state.value is not None and state.value in offered and value != state.value:
        if state.prompted and not state.departed:
            state.departed = True
        else:
            state.faults.append(f"turns from {state.value} to {value}")
    if state.value is None or state.value in offered:
        state.value = value


def _subjects(asked: str) -> list[Fact | Sum | Request]:
    return [
        filling
        for part in sentences(asked)
        if (reading := read(part))
        for _, filling in reading.slots
        if isinstance(filling, Fact | Sum | Request)
    ]


def _same(said: Fact | Sum | Request, asked: Fact | Sum | Request) -> bool:
    if isinstance(said, Fact) and isinstance(asked, Fact):
        return said.x == asked.x
    return said == asked


def _name(reading: Reading) -> Name | None:
    return next((filling for _, filling in reading.slots if isinstance(filling, Name)), None)


def _shared(readings: Iterable[Reading]) -> set[Person]:
    """The persons whom all of these sentences may be about; quotes speak of anybody."""
    persons: set[Person] = {"I", "you", "he", "she"}
    for reading in readings:
        persons &= reading.persons
    return persons
