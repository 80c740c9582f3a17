"""A reply is what the model says under its program, and the receipt is what was done; on both engines."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.engine.machines import ENGINES
from tests.tiny import TinyModel
from trimtab.engine.contract import (
    ActivationRequest,
    Done,
    Event,
    GenerateRequest,
    Message,
    Passage,
    Prefill,
    Sampling,
    ScoreRequest,
    Steered,
    Token,
)
from trimtab.engine.generation import MachineEngine
from trimtab.engine.machine import Machine
from trimtab.engine.plan import Plan
from trimtab.engine.program import (
    EMPTY,
    Anchors,
    Array,
    Gate,
    Preface,
    Probe,
    Program,
    Raise,
    Scope,
    Shift,
    Tune,
    Watch,
)
from trimtab.errors import Cancelled, ContextFull, EngineError, ProgramError, Unsupported

PROMPT = "The sea was calm and the sailors"
GREEDY = Sampling(temperature=0, max_tokens=16)


def ask(text: str = PROMPT, program: Program = EMPTY, **options: Any) -> GenerateRequest:
    sampling = options.pop("sampling", GREEDY)
    return GenerateRequest(text=text, program=program, sampling=sampling, **options)


def chat(*contents: str, program: Program = EMPTY, **options: Any) -> GenerateRequest:
    roles = ("user", "assistant")
    messages = tuple(
        Message(role=roles[number % 2], content=content)  # type: ignore[arg-type]
        for number, content in enumerate(contents)
    )
    sampling = options.pop("sampling", GREEDY)
    return GenerateRequest(messages=messages, program=program, sampling=sampling, **options)


def run(engine: MachineEngine, request: GenerateRequest) -> tuple[list[Token], Done]:
    events: list[Event] = list(engine.generate(request))
    done = events[-1]
    assert isinstance(done, Done)
    return [event for event in events if isinstance(event, Token)], done


def ids(engine: MachineEngine, request: GenerateRequest) -> list[int]:
    return [token.id for token in run(engine, request)[0]]


def fresh(engine: MachineEngine, request: GenerateRequest) -> list[int]:
    engine.cache.cut(0)
    return ids(engine, request)


def vector(engine: MachineEngine, seed: int = 0, length: float = 6.0) -> Array:
    raw = np.random.default_rng(seed).standard_normal(engine.info.width)
    return Array(length * raw / np.linalg.norm(raw))


def shift(engine: MachineEngine, layer: int = 1, **fields: Any) -> Shift:
    return Shift(layer=layer, vector=vector(engine, fields.pop("seed", 0)), **fields)


def raising(
    engine: MachineEngine, layer: int = 1, target: float = 3.0, seed: int = 0, **fields: Any
) -> Raise:
    return Raise(
        layer=layer,
        probes=(Probe(weight=vector(engine, seed, 1.0), bias=-0.5),),
        targets=(target,),
        **fields,
    )


def gate(engine: MachineEngine, *, opened: bool) -> Gate:
    probe = Probe(weight=vector(engine, 4, 0.1))
    return Gate(probe=probe, layer=1, threshold=0.0 if opened else 1.0)


def test_events_end_with_done_and_begin_with_prefill(engine: MachineEngine) -> None:
    events = list(engine.generate(ask()))
    assert isinstance(events[0], Prefill) and isinstance(events[-1], Done)
    assert [type(event) for event in events[1:-1]].count(Token) == 16


def test_the_text_of_the_events_is_the_text_of_the_tokens(engine: MachineEngine) -> None:
    tokens, done = run(engine, ask())
    whole = b"".join(engine.pieces([token.id for token in tokens])).decode("utf-8", "replace")
    from trimtab.engine.text import clean

    assert "".join(token.text for token in tokens) + done.text == clean(whole)


def test_logprobs_are_those_that_scoring_finds(engine: MachineEngine) -> None:
    prompt = engine.tokenize(PROMPT, bos=True)
    tokens, _ = run(engine, ask())
    [found] = engine.machine.score([(prompt, [token.id for token in tokens])], None, lambda fraction: True)
    np.testing.assert_allclose([token.logprob for token in tokens], found, atol=1e-4)


def test_the_same_seed_gives_the_same_text(engine: MachineEngine) -> None:
    sampling = Sampling(temperature=1.5, seed=3, max_tokens=24)
    first = ids(engine, ask(sampling=sampling))
    assert fresh(engine, ask(sampling=sampling)) == first
    assert fresh(engine, ask(sampling=Sampling(temperature=1.5, seed=4, max_tokens=24))) != first


def test_a_stop_string_ends_the_reply_before_it(engine: MachineEngine) -> None:
    tokens, _ = run(engine, ask(sampling=Sampling(temperature=0, max_tokens=40)))
    text = "".join(token.text for token in tokens)
    stop = next(text[at : at + 3] for at in range(5, len(text) - 3) if text.find(text[at : at + 3]) == at)
    tokens, done = run(engine, ask(sampling=Sampling(temperature=0, max_tokens=40, stop=(stop,))))
    assert done.reason == "stop"
    assert "".join(token.text for token in tokens) + done.text == text[: text.find(stop)]


def test_max_tokens_ends_the_reply(engine: MachineEngine) -> None:
    tokens, done = run(engine, ask(sampling=Sampling(temperature=0, max_tokens=3)))
    assert (len(tokens), done.reason) == (3, "length")


def test_a_shift_changes_the_reply_and_is_on_record(engine: MachineEngine) -> None:
    unsteered = fresh(engine, ask())
    engine.cache.cut(0)
    tokens, done = run(engine, ask(program=Program(interventions=(shift(engine, scale=2),))))
    assert [token.id for token in tokens] != unsteered
    assert all(token.shift[1] == pytest.approx(12.0, rel=1e-4) for token in tokens)
    [layer] = done.receipt.reply_layers
    assert (layer.layer, layer.moved, layer.positions) == (1, len(tokens), len(tokens))
    assert layer.mean == pytest.approx(12.0, rel=1e-4)
    [layer] = done.receipt.prompt_layers
    assert layer.moved == done.receipt.prompt_tokens - 1
    assert done.receipt.steered_tokens == len(tokens)


def test_the_reply_scope_leaves_the_prompt_alone(engine: MachineEngine) -> None:
    _, done = run(engine, ask(program=Program(interventions=(shift(engine, scope="reply"),))))
    assert not done.receipt.prompt_layers and done.receipt.reply_layers


def test_the_prompt_scope_leaves_the_reply_alone(engine: MachineEngine) -> None:
    tokens, done = run(engine, ask(program=Program(interventions=(shift(engine, scope="prompt"),))))
    assert done.receipt.prompt_layers and not done.receipt.reply_layers
    assert not any(token.shift for token in tokens) and done.receipt.steered_tokens == 0


def test_a_raise_meets_its_target(engine: MachineEngine) -> None:
    raised = raising(engine, target=9.0)
    program = Program(interventions=(raised,), watches=(Watch(name="it", layer=1, probe=raised.probes[0]),))
    tokens, done = run(engine, ask(program=program))
    assert all(token.watched["it"] >= 1 / (1 + math.exp(-9.0)) - 1e-4 for token in tokens)
    assert done.receipt.reply_layers[0].moved > 0 and not done.receipt.missed


def test_a_watch_alone_reports_and_steers_nothing(engine: MachineEngine) -> None:
    probe = Probe(weight=vector(engine, 5, 0.5), bias=0.1)
    unsteered = fresh(engine, ask())
    engine.cache.cut(0)
    tokens, done = run(engine, ask(program=Program(watches=(Watch(name="w", layer=2, probe=probe),))))
    assert [token.id for token in tokens] == unsteered and done.receipt.steered_tokens == 0
    state = engine.activations(
        ActivationRequest(passages=(Passage(text=PROMPT),), layers=(2,)), lambda f: True
    )
    expected = 1 / (1 + math.exp(-(float(state[0, 0] @ probe.weight.values) + probe.bias)))
    assert tokens[0].watched["w"] == pytest.approx(expected, abs=1e-4)


def test_a_target_that_the_cap_forbids_is_reported(engine: MachineEngine) -> None:
    program = Program(interventions=(raising(engine, target=50.0, cap=1.0, label="security"),))
    tokens, done = run(engine, ask(program=program))
    [missed] = done.receipt.missed
    assert (missed.layer, missed.label) == (1, "security") and missed.times >= len(tokens) and missed.by > 10
    assert max(token.shift[1] for token in tokens) <= 1.0 + 1e-4


def test_a_closed_gate_leaves_the_reply_alone(engine: MachineEngine) -> None:
    unsteered = fresh(engine, ask())
    program = Program(interventions=(shift(engine, gate=gate(engine, opened=False), label="calm"),))
    engine.cache.cut(0)
    tokens, done = run(engine, ask(program=program))
    assert [token.id for token in tokens] == unsteered
    [score] = done.receipt.gates
    assert (score.label, score.open, score.threshold) == ("calm", False, 1.0) and 0 < score.score < 1


def test_an_open_gate_steers_like_no_gate(engine: MachineEngine) -> None:
    ungated = fresh(engine, ask(program=Program(interventions=(shift(engine, scale=2),))))
    program = Program(interventions=(shift(engine, scale=2, gate=gate(engine, opened=True)),))
    assert fresh(engine, ask(program=program)) == ungated


def test_a_gate_reads_the_last_user_message_unsteered(engine: MachineEngine) -> None:
    asked = gate(engine, opened=True)
    assert asked.probe
    program = Program(interventions=(shift(engine, gate=asked),))
    _, done = run(engine, chat("First.", "Reply.", PROMPT, program=program))
    state = engine.activations(
        ActivationRequest(passages=(Passage(text=PROMPT),), layers=(1,)), lambda f: True
    )
    expected = 1 / (1 + math.exp(-float(state[0, 0] @ asked.probe.weight.values)))
    assert done.receipt.gates[0].score == pytest.approx(expected, abs=1e-4)


def test_a_follow_up_can_bring_its_topic_to_the_gate(engine: MachineEngine) -> None:
    program = Program(interventions=(shift(engine, gate=gate(engine, opened=True)),))
    _, direct = run(engine, chat(PROMPT, program=program))
    _, follow_up = run(engine, chat("why?", program=program, gate_text=PROMPT))
    assert follow_up.receipt.gates[0].score == pytest.approx(direct.receipt.gates[0].score, abs=1e-6)


def test_the_prompt_policy_is_one_constant_shift_everywhere(engine: MachineEngine) -> None:
    raised = raising(engine, target=12.0, policy="prompt")
    tokens, done = run(engine, ask(program=Program(interventions=(raised,))))
    length = tokens[0].shift[1]
    weight = raised.probes[0].weight.values
    constant = Shift(layer=1, vector=Array(weight / np.linalg.norm(weight)), scale=length)
    assert fresh(engine, ask(program=Program(interventions=(constant,)))) == [token.id for token in tokens]
    assert all(token.shift[1] == pytest.approx(length) for token in tokens)
    assert done.receipt.prompt_layers[0].moved == done.receipt.prompt_tokens - 1


def test_the_prompt_policy_measures_at_the_last_token_of_the_prompt(engine: MachineEngine) -> None:
    raised = raising(engine, target=12.0, policy="prompt")
    tokens, _ = run(engine, ask(program=Program(interventions=(raised,))))
    state = engine.activations(
        ActivationRequest(passages=(Passage(text=PROMPT),), layers=(1,)), lambda f: True
    )
    weight = raised.probes[0].weight.values
    needed = (12.0 - float(state[0, 0] @ weight) - raised.probes[0].bias) / float(np.linalg.norm(weight))
    assert tokens[0].shift[1] == pytest.approx(needed, rel=1e-3)


@pytest.mark.parametrize("scope", ["prompt", "reply"])
def test_the_prompt_policy_adds_its_shift_within_its_scope(engine: MachineEngine, scope: Scope) -> None:
    raised = raising(engine, target=12.0, policy="prompt", scope=scope)
    _, done = run(engine, ask(program=Program(interventions=(raised,))))
    prompt, reply = done.receipt.prompt_layers, done.receipt.reply_layers
    assert (bool(prompt), bool(reply)) == (scope == "prompt", scope == "reply")
    assert done.receipt.cached_tokens == 0 and done.receipt.history == "fresh"


def test_a_prompt_raise_that_is_taken_out_mid_reply_stops(engine: MachineEngine) -> None:
    first = raising(engine, layer=1, target=12.0, policy="prompt", label="X")
    second = raising(engine, layer=2, target=12.0, policy="prompt", label="Y", seed=3)
    tokens, steered = steered_at(
        engine, 4, Program(interventions=(first, second)), Program(interventions=(first,))
    )
    assert set(tokens[0].shift) == {1, 2} and set(tokens[-1].shift) == {1}
    assert steered.deferred == ()


def test_a_prompt_raise_that_is_moved_mid_reply_waits(engine: MachineEngine) -> None:
    low, high = (raising(engine, target=t, policy="prompt", label="X") for t in (12.0, 20.0))
    tokens, steered = steered_at(engine, 4, Program(interventions=(low,)), Program(interventions=(high,)))
    assert tokens[-1].shift == pytest.approx(tokens[0].shift)
    assert steered.deferred == ("Raise (X)",)


def test_a_preface_that_is_taken_away_mid_reply_is_named(engine: MachineEngine) -> None:
    program = Program(interventions=(Preface(text="Be kind.", label="kind"),))
    _, steered = steered_at(engine, 4, program, EMPTY)
    assert steered.deferred == ("Preface (kind)",)


def test_a_satisfied_prompt_raise_leaves_a_true_receipt(engine: MachineEngine) -> None:
    satisfied = raising(engine, target=-100.0, policy="prompt")
    other = raising(engine, layer=2, target=9.0, seed=3)
    _, done = run(engine, ask(program=Program(interventions=(satisfied, other))))
    assert (done.receipt.cached_tokens, done.receipt.history) == (0, "fresh")
    assert [layer.layer for layer in done.receipt.prompt_layers] == [2]


def test_a_token_raise_beside_a_prompt_raise_is_not_frozen_into_it(engine: MachineEngine) -> None:
    constant = raising(engine, target=12.0, policy="prompt")
    alone, _ = run(engine, ask(program=Program(interventions=(constant,)), reread=True))
    free = raising(engine, target=-100.0, seed=3)
    both, _ = run(engine, ask(program=Program(interventions=(constant, free)), reread=True))
    assert both[0].shift[1] == pytest.approx(alone[0].shift[1], rel=1e-4)


def test_a_row_without_strength_does_not_limit_the_others(engine: MachineEngine) -> None:
    acting = raising(engine, target=9.0)
    dropped = raising(engine, target=9.0, seed=3, strengths=(0.0,), cap=0.01)
    alone = run(engine, ask(program=Program(interventions=(acting,)), reread=True))[0]
    both = run(engine, ask(program=Program(interventions=(acting, dropped)), reread=True))[0]
    assert [token.id for token in both] == [token.id for token in alone]


def test_a_program_that_does_nothing_leaves_the_cache_as_unsteered(engine: MachineEngine) -> None:
    run(engine, ask(program=Program(interventions=(shift(engine, scale=0), raising(engine, strengths=(0,))))))
    assert run(engine, ask(reread=True))[1].receipt.history == "same program"


def test_a_steer_that_cannot_be_put_in_place_leaves_the_reply_as_it_was(
    engine: MachineEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fresh(engine, ask())
    engine.cache.cut(0)
    install = engine.machine.install

    def refusing(plan: Plan) -> None:
        if plan.shifts:
            raise EngineError("The adapter does not fit.")
        install(plan)

    monkeypatch.setattr(engine.machine, "install", refusing)
    tokens, steered = steered_at(engine, 4, EMPTY, Program(interventions=(shift(engine),)))
    assert (steered.failed, steered.fingerprint) == ("The adapter does not fit.", EMPTY.fingerprint)
    assert [token.id for token in tokens] == whole


def test_numbers_that_are_none_do_not_outlive_their_reply(engine: MachineEngine) -> None:
    whole = fresh(engine, ask())
    huge = Array(np.full(engine.info.width, 3e38))
    program = Program(interventions=tuple(Shift(layer=layer, vector=huge) for layer in (0, 1)))
    with pytest.raises(EngineError, match="not a number"):
        run(engine, ask(program=program, reread=True))
    assert ids(engine, ask()) == whole


def test_many_anchor_sets_act_together(engine: MachineEngine) -> None:
    tunes = tuple(
        Tune(anchors=Anchors(name=str(n), positive=(n + 20,), negative=(n + 21,)), step=1e-6, steps=1)
        for n in range(80)
    )
    tokens, _ = run(engine, ask(program=Program(interventions=tunes)))
    assert [token.id for token in tokens] == fresh(engine, ask()) and len(tokens[0].phi) == 80


def test_prefaces_are_read_in_their_order(engine: MachineEngine) -> None:
    messages = (Message(role="user", content="hi"),)
    for place in ("system", "user"):
        prefaces = [Preface(text=text, place=place) for text in "AB"]
        found = engine.with_prefaces(messages, prefaces)
        assert found[0].content == ("A\n\nB" if place == "system" else "A\n\nB\n\nhi")


def test_an_empty_message_has_nothing_to_do_with_any_value(engine: MachineEngine) -> None:
    barred = Gate(probe=Probe(weight=vector(engine, 4, 0.1)), layer=1, threshold=1.0)
    program = Program(interventions=(shift(engine, gate=barred),))
    assert not run(engine, ask(program=program, gate_text=""))[1].receipt.gates[0].open


def steered_at(
    engine: MachineEngine, index: int, program: Program, wanted: Program
) -> tuple[list[Token], Steered]:
    """A reply under one program and, from the token of this index on, another."""
    engine.cache.cut(0)
    tokens: list[Token] = []
    steered: list[Steered] = []
    for event in engine.generate(ask(program=program)):
        if isinstance(event, Token):
            tokens.append(event)
            if len(tokens) == index:
                engine.steer(wanted)
        elif isinstance(event, Steered):
            steered.append(event)
    [only] = steered
    return tokens, only


def test_a_program_changed_mid_reply_acts_from_the_next_token(engine: MachineEngine) -> None:
    unsteered = fresh(engine, ask(sampling=Sampling(temperature=0, max_tokens=12)))
    engine.cache.cut(0)
    wanted = Program(interventions=(shift(engine, scale=3),))
    tokens: list[Token] = []
    steered: list[Steered] = []
    done: Done | None = None
    for event in engine.generate(ask(sampling=Sampling(temperature=0, max_tokens=12))):
        if isinstance(event, Token):
            tokens.append(event)
            if len(tokens) == 5:
                engine.steer(wanted)
        elif isinstance(event, Steered):
            steered.append(event)
        elif isinstance(event, Done):
            done = event
    assert [(event.index, event.fingerprint) for event in steered] == [(5, wanted.fingerprint)]
    assert [token.id for token in tokens[:5]] == unsteered[:5]
    assert [bool(token.shift) for token in tokens] == [False] * 5 + [True] * 7
    assert done is not None and done.receipt.steered == ((5, wanted.fingerprint),)
    assert done.receipt.steered_tokens == 7


def test_what_is_read_before_a_reply_waits_for_the_next(engine: MachineEngine) -> None:
    wanted = Program(interventions=(Preface(text="Be kind.", label="kind"), shift(engine)))
    events: list[Event] = []
    for event in engine.generate(ask()):
        events.append(event)
        if isinstance(event, Token) and not any(isinstance(e, Steered) for e in events):
            engine.steer(wanted)
    [steered] = [event for event in events if isinstance(event, Steered)]
    assert steered.deferred == ("Preface (kind)",)


def test_cancelling_keeps_what_was_said(engine: MachineEngine) -> None:
    whole = fresh(engine, ask())
    engine.cache.cut(0)
    tokens: list[int] = []
    reason = ""
    for event in engine.generate(ask()):
        if isinstance(event, Token):
            tokens.append(event.id)
            if len(tokens) == 4:
                engine.cancel()
        elif isinstance(event, Done):
            reason = event.reason
    assert (tokens, reason) == (whole[:4], "cancelled")
    assert fresh(engine, ask()) == whole


@pytest.mark.parametrize("kind", ENGINES)
def test_cancelling_while_the_prompt_is_read_ends_without_a_token(
    kind: str, machines: Callable[..., Machine], tiny_llama: TinyModel
) -> None:
    engine = MachineEngine(machines(kind, tiny_llama), piece=2)
    whole = fresh(engine, ask())
    engine.cache.cut(0)
    events: list[Event] = []
    for event in engine.generate(ask()):
        events.append(event)
        engine.cancel()
    assert not [event for event in events if isinstance(event, Token)]
    assert isinstance(events[-1], Done) and events[-1].reason == "cancelled"
    assert ids(engine, ask()) == whole


def test_cancelling_while_a_gate_is_read_ends_without_a_token(
    engine: MachineEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise Cancelled("Stopped.")

    monkeypatch.setattr(engine.machine, "state_at_end", stopped)
    program = Program(interventions=(shift(engine, gate=gate(engine, opened=True)),))
    tokens, done = run(engine, ask("A message that no gate has read yet", program=program))
    assert (tokens, done.reason, done.receipt.gates) == ([], "cancelled", ())


def test_the_second_turn_reads_only_what_is_new(engine: MachineEngine) -> None:
    tokens, _ = run(engine, chat("Tell me of the sea."))
    said = "".join(token.text for token in tokens)
    request = chat("Tell me of the sea.", said, "And the wind?")
    _, done = run(engine, request)
    assert done.receipt.cached_tokens > 0 and done.receipt.history == "same program"
    assert [t.id for t in run(engine, request)[0]] == fresh(engine, request)


def test_a_history_read_under_another_program_stays_as_spoken(engine: MachineEngine) -> None:
    program = Program(interventions=(shift(engine, scale=2),))
    run(engine, ask())
    _, done = run(engine, ask(program=program))
    assert done.receipt.history == "as spoken"
    assert done.receipt.other_programs == done.receipt.cached_tokens == done.receipt.prompt_tokens - 1


def test_rereading_is_as_if_from_scratch(engine: MachineEngine) -> None:
    program = Program(interventions=(shift(engine, scale=2),))
    scratch = fresh(engine, ask(program=program))
    fresh(engine, ask())
    tokens, done = run(engine, ask(program=program, reread=True))
    assert [token.id for token in tokens] == scratch
    assert (done.receipt.history, done.receipt.cached_tokens) == ("fresh", 0)


def test_rereading_keeps_what_was_read_under_the_same_program(engine: MachineEngine) -> None:
    program = Program(interventions=(shift(engine, scale=2),))
    run(engine, ask(program=program))
    _, done = run(engine, ask(program=program, reread=True))
    assert done.receipt.history == "same program"
    assert done.receipt.cached_tokens == done.receipt.prompt_tokens - 1


def test_tuning_or_watching_does_not_spoil_the_cache(engine: MachineEngine) -> None:
    run(engine, ask())
    tune = Tune(anchors=Anchors(positive=(5, 6), negative=(7,)), step=0.1, steps=3)
    _, done = run(engine, ask(program=Program(interventions=(tune,)), reread=True))
    assert done.receipt.history == "same program"


def test_resuming_goes_on_with_the_assistants_words(engine: MachineEngine) -> None:
    request = chat("Count to ten.", "One, two,", resume=True)
    tokens = engine.chat_tokens(request.messages, resume=True)
    assert b"".join(engine.pieces(tokens)).endswith(b"One, two,")
    assert run(engine, request)[1].receipt.prompt_tokens == len(tokens)


def test_a_preface_is_read_as_a_system_prompt(engine: MachineEngine) -> None:
    program = Program(interventions=(Preface(text="Be brief."),))
    prefaced = fresh(engine, chat("Hello.", program=program))
    messages = (Message(role="system", content="Be brief."), Message(role="user", content="Hello."))
    assert fresh(engine, GenerateRequest(messages=messages, sampling=GREEDY)) == prefaced


def test_a_preface_in_the_users_turn_opens_the_first_message(engine: MachineEngine) -> None:
    program = Program(interventions=(Preface(text="Be brief.", place="user"),))
    assert fresh(engine, chat("Hello.", program=program)) == fresh(engine, chat("Be brief.\n\nHello."))


def test_tuning_raises_phi_by_its_closed_form(engine: MachineEngine) -> None:
    anchors = Anchors(name="a", positive=(20, 30), negative=(40,))
    rows = engine.unembed([20, 30, 40]).astype(np.float64)
    direction = rows[:2].mean(0) - rows[2]
    tune = Tune(anchors=anchors, step=0.05, steps=4, scope="reply")
    tokens, done = run(engine, ask(program=Program(interventions=(tune,))))
    means = done.receipt.phi["a"]
    assert means.before is not None
    assert means.after - means.before == pytest.approx(0.05 * 4 * float(direction @ direction), rel=1e-3)
    assert means.after == pytest.approx(np.mean([token.phi["a"] for token in tokens]))


def test_tuned_logits_make_an_anchor_likelier(engine: MachineEngine) -> None:
    anchors = Anchors(positive=(33,))
    tune = Tune(anchors=anchors, step=5.0, steps=60)
    assert set(fresh(engine, ask(program=Program(interventions=(tune,))))) == {33}


def test_holding_keeps_phi_at_its_target(engine: MachineEngine) -> None:
    tune = Tune(anchors=Anchors(name="a", positive=(20, 30), negative=(40,)), step=10.0, steps=100, hold=4.0)
    tokens, _ = run(engine, ask(program=Program(interventions=(tune,))))
    assert all(token.phi["a"] >= 4.0 - 1e-3 for token in tokens)
    assert any(token.phi["a"] == pytest.approx(4.0, abs=1e-3) for token in tokens)


@pytest.mark.parametrize("objective", ["phi", "logodds"])
@pytest.mark.parametrize("site", ["normed", "prenorm"])
def test_gradient_steps_raise_phi(engine: MachineEngine, objective: str, site: str) -> None:
    anchors = Anchors(name="a", positive=(20, 30), negative=(40,))
    tune = Tune(anchors=anchors, step=0.02, steps=5, objective=objective, site=site, solver="gradient")  # type: ignore[arg-type]
    still = Tune(anchors=anchors, step=1e-9, steps=1)
    tuned = run(engine, ask(program=Program(interventions=(tune,))))[0][0].phi["a"]
    assert tuned > fresh_phi(engine, still) + 1e-3


def fresh_phi(engine: MachineEngine, tune: Tune) -> float:
    engine.cache.cut(0)
    return run(engine, ask(program=Program(interventions=(tune,))))[0][0].phi[tune.anchors.name]


def test_closed_form_and_gradient_give_the_same_tokens(engine: MachineEngine) -> None:
    anchors = Anchors(positive=(20, 30), negative=(40,))
    for penalty in (0.0, 0.05):
        closed = Tune(anchors=anchors, step=0.01, steps=60, penalty=penalty)
        gradient = Tune(anchors=anchors, step=0.01, steps=60, penalty=penalty, solver="gradient")
        assert fresh(engine, ask(program=Program(interventions=(closed,)))) == fresh(
            engine, ask(program=Program(interventions=(gradient,)))
        )


def test_a_prompt_larger_than_the_window_is_refused_with_numbers(engine: MachineEngine) -> None:
    with pytest.raises(ContextFull, match=r"tokens long; this model's window holds 256"):
        run(engine, ask("word " * 400))


def test_a_full_window_makes_room_or_ends_the_reply(engine: MachineEngine) -> None:
    tokens, done = run(engine, ask(sampling=Sampling(temperature=1.5, seed=1, max_tokens=300)))
    if engine.info.can_shift:
        assert (len(tokens), done.reason) == (300, "length") and done.receipt.window_shifts >= 1
    else:
        assert done.reason == "window" and len(tokens) == 256 - done.receipt.prompt_tokens + 1


def test_a_program_for_another_model_is_refused_before_anything_runs(engine: MachineEngine) -> None:
    wrong = Program(interventions=(Shift(layer=0, vector=Array(np.ones(engine.info.width + 1))),))
    with pytest.raises(ProgramError, match="wide"):
        engine.generate(ask(program=wrong)).__next__()
    with pytest.raises(ProgramError, match="wide"):
        engine.steer(wrong)


def test_scores_add_up_over_steered_and_unsteered_paths(engine: MachineEngine) -> None:
    pairs = ((PROMPT, " sang songs"), ("A day", " of rest and calm"))
    plain = engine.score(ScoreRequest(pairs=pairs), lambda f: True)
    nothing = Program(interventions=(shift(engine, scale=0),))
    slow = engine.score(ScoreRequest(pairs=pairs, program=nothing), lambda f: True)
    for left, right in zip(plain, slow, strict=True):
        np.testing.assert_allclose(left, right, atol=1e-4)


def test_a_batch_scores_as_position_by_position_does(engine: MachineEngine) -> None:
    tune = Tune(anchors=Anchors(positive=(20, 30), negative=(40,)), step=0.05, steps=4)
    gated = shift(engine, scale=2, gate=gate(engine, opened=True))
    program = Program(interventions=(raising(engine, target=9.0), gated, tune))
    parted = Program(
        interventions=(*program.interventions, shift(engine, scale=1e-12, seed=9, scope="reply"))
    )
    pairs = ((PROMPT, " sang songs"), ("A day", " of rest and calm"))
    together = engine.score(ScoreRequest(pairs=pairs, program=program), lambda f: True)
    one_by_one = engine.score(ScoreRequest(pairs=pairs, program=parted), lambda f: True)
    for left, right in zip(together, one_by_one, strict=True):
        np.testing.assert_allclose(left, right, atol=2e-4)


def test_scoring_in_a_batch_leaves_the_chat_in_its_cache(engine: MachineEngine) -> None:
    run(engine, ask())
    program = Program(interventions=(shift(engine),))
    engine.score(ScoreRequest(pairs=(("A day", " of rest"),), program=program), lambda f: True)
    _, done = run(engine, ask())
    assert done.receipt.cached_tokens == done.receipt.prompt_tokens - 1


def test_steering_changes_scores(engine: MachineEngine) -> None:
    pairs = ((PROMPT, " sang songs"),)
    program = Program(interventions=(shift(engine, scale=2),))
    [plain] = engine.score(ScoreRequest(pairs=pairs), lambda f: True)
    [steered] = engine.score(ScoreRequest(pairs=pairs, program=program), lambda f: True)
    assert plain.shape == steered.shape and np.abs(plain - steered).max() > 0.1


def test_activations_of_an_answer_are_read_over_the_answer(engine: MachineEngine) -> None:
    request = ActivationRequest(
        passages=(Passage(text="A day", answer=" of rest"),), layers=(0, 2), positions="mean"
    )
    found = engine.activations(request, lambda f: True)
    tokens = engine.prompt_tokens("A day", "plain")
    answer = engine.tokenize(" of rest")
    states = [
        engine.machine.state_at_end(tokens + answer[: count + 1], [0, 2]) for count in range(len(answer))
    ]
    np.testing.assert_allclose(found[0], np.mean(states, axis=0), atol=1e-4)


def test_an_unknown_token_is_not_unembedded(engine: MachineEngine) -> None:
    with pytest.raises(Unsupported, match="does not exist"):
        engine.unembed([engine.info.vocabulary])


@pytest.mark.parametrize("kind", ["llama", "torch"])
def test_a_small_piece_reports_more_progress(
    kind: str, machines: Callable[..., Machine], tiny_llama: TinyModel
) -> None:
    engine = MachineEngine(machines(kind, tiny_llama), piece=2)
    events = [event for event in engine.generate(ask()) if isinstance(event, Prefill)]
    assert [event.done for event in events] == sorted({event.done for event in events})
    assert len(events) > 3 and events[-1].done == events[-1].total
