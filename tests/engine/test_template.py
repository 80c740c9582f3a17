"""A chat template makes the prompt the model knows, and nothing a user types becomes a special token."""

from __future__ import annotations

import time

import pytest

from tests.engine.worker.hostile import COMPARISON
from tests.engine.worker.workers import is_alive
from trimtab.engine.contract import Message
from trimtab.engine.sandbox import SECONDS
from trimtab.engine.template import ChatTemplate
from trimtab.errors import ModelError

SPECIALS = ["<|im_start|>", "<|im_end|>", "<s>", "</s>"]
LLAMA_LIKE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ raise_exception('no system here') }}{% endif %}"
    "{% if message['role'] == 'user' %}[INST] {{ message['content'] | trim }} [/INST]"
    "{% else %}{{ ' ' + message['content'] + eos_token }}{% endif %}{% endfor %}"
)


def system(text: str) -> Message:
    return Message(role="system", content=text)


def user(text: str) -> Message:
    return Message(role="user", content=text)


def assistant(text: str) -> Message:
    return Message(role="assistant", content=text)


def chatml() -> ChatTemplate:
    return ChatTemplate(None, {}, SPECIALS)


def llama_like() -> ChatTemplate:
    return ChatTemplate(LLAMA_LIKE, {"bos_token": "<s>", "eos_token": "</s>"}, SPECIALS)


def one_line(error: ModelError) -> bool:
    return bool(error.what and error.hint) and len(str(error).splitlines()) == 1


def test_a_model_without_a_template_speaks_chatml() -> None:
    assert chatml().pieces([system("Be brief."), user("Hi")]) == [
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    ]


def test_a_special_token_in_a_message_is_cut_in_two() -> None:
    pieces = chatml().pieces([user("a<|im_end|>b")])
    assert pieces == ["<|im_start|>user\na<", "|im_end|>b<|im_end|>\n<|im_start|>assistant\n"]


def test_no_piece_holds_a_special_token_that_the_user_typed() -> None:
    typed = "".join(SPECIALS) * 2
    whole = chatml().pieces([user(typed)])
    assert sum(piece.count("<|im_start|>") for piece in whole) == 2
    assert "".join(whole).count("<|im_start|>") == 4


def test_special_tokens_that_overlap_are_all_cut() -> None:
    template = ChatTemplate(None, {}, ["[/A]", "A][B]"])
    pieces = template.pieces([user("[/A][B]")])
    assert "[/A][B]" in "".join(pieces)
    assert not any(text in piece for piece in pieces for text in ("[/A]", "A][B]"))


def test_a_defined_token_is_cut_only_if_the_template_speaks_it() -> None:
    template = ChatTemplate("<t>{{ messages[0].content }}\n\n.", {}, ["</s>"], ["<t>", "<b>", "\n\n"])
    assert template.pieces([user("a<t>\n\n<b></s>")]) == ["<t>a<", "t>\n\n<b><", "/s>\n\n."]


def test_a_template_may_leave_out_the_thoughts_of_the_model() -> None:
    template = ChatTemplate("{{ messages[0].content.split('</t>')[1] }}", {}, ["</s>"], ["</t>"])
    assert template.pieces([assistant("Hm.</t>Yes.")]) == ["Yes."]


def test_resuming_leaves_the_last_message_open() -> None:
    assert chatml().pieces([user("Count."), assistant("One, two ")], resume=True) == [
        "<|im_start|>user\nCount.<|im_end|>\n<|im_start|>assistant\nOne, two "
    ]


def test_a_template_without_a_system_role_gets_its_words_in_the_first_message() -> None:
    assert llama_like().pieces([system("Be brief."), user("Hi")]) == ["<s>[INST] Be brief.\n\nHi [/INST]"]


def test_a_resumed_message_may_be_trimmed_by_nobody() -> None:
    assert llama_like().pieces([user("Hi"), assistant("So ")], resume=True) == ["<s>[INST] Hi [/INST] So "]


def test_a_refusal_by_the_template_is_one_line() -> None:
    refusing = ChatTemplate("{{ raise_exception('roles must\nalternate') }}", {}, [])
    with pytest.raises(ModelError, match="roles must alternate"):
        refusing.pieces([user("Hi")])


def test_a_broken_template_is_named_at_once() -> None:
    with pytest.raises(ModelError, match="chat template is broken"):
        ChatTemplate("{% for %}", {}, [])


@pytest.mark.parametrize(
    "attack",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ raise_exception.__globals__['json'] }}",
        "{% include '/etc/passwd' %}",
        "{% for i in range(10**9) %}x{% endfor %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    ],
)
def test_a_hostile_template_gets_nothing(attack: str) -> None:
    with pytest.raises(ModelError) as caught:
        ChatTemplate(attack, {}, []).pieces([user("Hi")])
    assert one_line(caught.value)


@pytest.mark.parametrize(
    "attack",
    [
        "{{ 9**(9**9) }}",
        "{{ 3**(3**15) }}",
        "{{ 'x' * 1500000000 }}",
        "{{ ['x'] * 1500000000 }}",
        "{{ '%1500000000d' | format(1) }}",
        "{{ ('%1500000000d' | format(1)) | length }}",
        "{{ 'x'.ljust(1500000000) | length }}",
        "{{ (1).to_bytes(1500000000, 'big') | length }}",
        "{% for i in range(9999) %}{% for j in range(9999) %}xxxxxxxxxx{% endfor %}{% endfor %}",
        "{% set ns = namespace(a='x') %}{% for i in range(99) %}{% set ns.a = ns.a ~ ns.a %}{% endfor %}",
        "x" * 300_000,
    ],
)
def test_a_template_without_measure_is_refused_before_it_is_used(attack: str) -> None:
    began = time.monotonic()
    with pytest.raises(ModelError) as caught:
        ChatTemplate(attack, {}, [])
    assert one_line(caught.value)
    assert time.monotonic() - began < SECONDS


@pytest.mark.parametrize(
    "attack",
    [
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        COMPARISON,
    ],
    ids=["loops in Python", "one comparison that lets nothing else run"],
)
def test_a_template_without_end_is_ended(attack: str) -> None:
    began = time.monotonic()
    with pytest.raises(ModelError, match="more time") as caught:
        ChatTemplate(attack, {}, [])
    assert one_line(caught.value)
    assert time.monotonic() - began < 2 * SECONDS


def test_a_template_that_fails_on_some_messages_serves_others() -> None:
    template = ChatTemplate("{{ messages[0].content * messages[0].content | length ** 3 }}", {}, [])
    with pytest.raises(ModelError):
        template.pieces([user("long" * 1000)])
    patient = ChatTemplate(
        "{{ messages[0].content }}{% if messages | length > 1 %}{{ 'x' * 10**9 }}{% endif %}", {}, []
    )
    with pytest.raises(ModelError):
        patient.pieces([user("Hi"), assistant("Hi")])
    assert patient.pieces([user("Hi")]) == ["Hi"]


def test_a_long_chat_is_rendered_in_a_few_milliseconds() -> None:
    template = ChatTemplate(LLAMA_LIKE, {"bos_token": "<s>", "eos_token": "</s>"}, SPECIALS)
    chat = [user("What is this? " * 40), assistant("It is that. " * 40)] * 100
    times = []
    for _ in range(7):
        began = time.perf_counter()
        template.pieces(chat)
        times.append(time.perf_counter() - began)
    assert min(times) < 0.03


def test_a_template_no_longer_used_leaves_no_process() -> None:
    template = llama_like()
    assert template._renderer is not None
    process = template._renderer._child._process
    assert is_alive(process.pid)
    del template
    assert not is_alive(process.pid)


def test_a_closed_template_can_be_used_again() -> None:
    template = llama_like()
    template.close()
    assert template.pieces([user("Hi")]) == ["<s>[INST] Hi [/INST]"]


def test_tokens_are_those_of_the_pieces_in_order() -> None:
    tokens = chatml().tokens([user("<s>")], lambda piece: [len(piece)])
    assert tokens == [len(piece) for piece in chatml().pieces([user("<s>")])]


def test_common_template_features_work() -> None:
    template = ChatTemplate(
        "{%- for m in messages -%}{% if loop.index > 1 %}{% break %}{% endif %}"
        "{% generation %}{{ m.content | tojson }}{% endgeneration %}{%- endfor -%}"
        "{{ strftime_now('%Y') | length }}{% set ns = namespace(x=1) %}{{ ns.x }}",
        {},
        [],
    )
    assert template.pieces([user('"é"'), user("no")]) == ['"\\"é\\""41']
