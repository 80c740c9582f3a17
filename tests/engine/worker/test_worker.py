"""The worker process itself, spoken to in bytes: it keeps to the protocol and never outlives its client."""

from __future__ import annotations

import contextlib
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from tests.engine.worker.workers import SCRIPTED, WORKER, comes_true, environment, is_alive
from trimtab.engine import protocol
from trimtab.engine.contract import GenerateRequest, LoadRequest, Token
from trimtab.engine.program import EMPTY, Adapter, Program, encode

Worker = subprocess.Popen[bytes]
Spawn = Callable[..., Worker]


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Spawn]:
    started: list[Worker] = []

    def make(command: list[str] | None = None) -> Worker:
        """A worker that logs to the file `log`, or the given command."""
        command = command or [*WORKER, "--log", str(tmp_path / "log")]
        pipe = subprocess.PIPE
        env = environment(tmp_path / "logs")
        started.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=env))
        return started[-1]

    yield make
    for process in started:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


def write(worker: Worker, *messages: protocol.ToWorker, opening: bool = True) -> None:
    assert worker.stdin is not None
    frames = [protocol.message_frame(message) for message in messages]
    worker.stdin.write(b"".join([protocol.opening()] * opening + frames))
    worker.stdin.flush()


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def answers(data: bytes) -> list[protocol.ToClient | protocol.Data]:
    rest = protocol.OpeningReader("engine worker", noise=0).feed(data)
    assert rest is not None
    return [protocol.to_client(payload) for payload in protocol.FrameReader().feed(rest)]


def generate(text: str) -> protocol.Generate:
    return protocol.Generate(2, GenerateRequest(text=text), encode(EMPTY))


def test_all_that_is_written_to_stdout_goes_to_the_log(spawn: Spawn, tmp_path: Path) -> None:
    worker = spawn()
    write(worker, protocol.Load(1, LoadRequest(path="loud")), generate("a"))
    assert comes_true(lambda: "written to 1" in read(tmp_path / "log"), 5)
    out, _ = worker.communicate()
    assert {type(answer) for answer in answers(out)} >= {protocol.Result, protocol.Accepted}


def test_a_child_of_the_engine_reads_nothing_from_the_client(spawn: Spawn, tmp_path: Path) -> None:
    worker = spawn()
    write(worker, protocol.Load(1, LoadRequest(path="inherited")))
    assert comes_true(lambda: "from a child" in read(tmp_path / "log"), 5)
    write(worker, protocol.Ping(2), opening=False)
    time.sleep(0.1)
    out, _ = worker.communicate()
    assert {answer.id for answer in answers(out) if isinstance(answer, protocol.Result)} == {1, 2}


def test_the_end_of_input_ends_an_idle_worker(spawn: Spawn) -> None:
    worker = spawn()
    write(worker, protocol.Load(1, SCRIPTED))
    worker.communicate(timeout=5)
    assert worker.returncode == 0


@pytest.mark.parametrize("text", ["forever", "deaf=60"])
def test_the_end_of_input_ends_a_busy_worker(spawn: Spawn, text: str) -> None:
    worker = spawn()
    write(worker, protocol.Load(1, SCRIPTED), generate(f"said {text}"))
    assert worker.stdout is not None
    worker.stdout.read(200)
    worker.communicate(timeout=5)


def test_a_worker_whose_answers_nobody_takes_still_ends_with_its_input(spawn: Spawn) -> None:
    worker = spawn()
    write(worker, protocol.Load(1, SCRIPTED), generate("count=100000"))
    time.sleep(0.5)
    assert worker.stdin is not None
    worker.stdin.close()
    worker.wait(timeout=6)


def test_shutdown_ends_the_worker(spawn: Spawn) -> None:
    worker = spawn()
    write(worker, protocol.Load(1, SCRIPTED), protocol.Shutdown(2))
    assert worker.wait(timeout=5) == 0


CLIENT = """
import asyncio, sys
from tests.engine.worker.workers import ENGINE, SCRIPTED, ask
from trimtab.engine.client import EngineClient

async def main():
    async with EngineClient.start(engine=ENGINE) as engine:
        await engine.load(SCRIPTED)
        print(engine.pid, flush=True)
        async for event in engine.generate(ask(sys.argv[1])):
            pass

asyncio.run(main())
"""


@pytest.mark.parametrize("text", ["forever", "deaf=60"])
def test_a_worker_does_not_outlive_a_killed_client(spawn: Spawn, text: str, tmp_path: Path) -> None:
    client = spawn([sys.executable, "-c", CLIENT, text])
    assert client.stdout is not None
    pid = int(client.stdout.readline())
    time.sleep(0.2)
    client.kill()
    assert comes_true(lambda: not is_alive(pid), 5)


ABANDONING = """
import asyncio
from tests.engine.worker.workers import ENGINE, SCRIPTED, said
from trimtab.engine.client import EngineClient

async def main():
    global engine
    engine = EngineClient.start(engine=ENGINE)
    await engine.open()
    await engine.load(SCRIPTED)
    print(engine.pid, flush=True)
    {}

asyncio.run(main())
"""


@pytest.mark.parametrize(
    "last", ["pass", "asyncio.create_task(said(engine, 'deaf=60')); await asyncio.sleep(.1)"]
)
def test_a_program_that_forgets_to_close_leaves_no_worker_and_no_warning(spawn: Spawn, last: str) -> None:
    client = spawn([sys.executable, "-W", "default", "-c", ABANDONING.format(last)])
    out, err = client.communicate(timeout=10)
    assert client.returncode == 0
    assert err == b""
    assert not is_alive(int(out))


@pytest.mark.parametrize(
    "sent",
    [
        b"random bytes from somewhere\n" * 20,
        protocol.opening() + b"\xff\xff\xff\xff",
        protocol.opening() + struct.pack("<I", 4) + b"\x00abc",
        protocol.opening() + b"".join(protocol.data_frames(9, b"unasked")),
        protocol.opening().replace(b" 1 ", b" 7 "),
    ],
    ids=["noise", "4 GB", "unknown", "unasked", "version"],
)
def test_a_client_that_makes_no_sense_is_told_and_left(spawn: Spawn, sent: bytes) -> None:
    worker = spawn()
    assert worker.stdin is not None and worker.stdout is not None
    worker.stdin.write(sent)
    worker.stdin.flush()
    last = answers(worker.stdout.read())[-1]
    assert worker.wait(timeout=5) != 0
    assert isinstance(last, protocol.Failed)
    assert (last.id, last.kind) == (0, "ProtocolError")


def test_a_worker_alone_keeps_its_own_log_and_shows_it_too(spawn: Spawn, tmp_path: Path) -> None:
    worker = spawn(WORKER)
    write(worker, protocol.Load(1, LoadRequest(path="loud")))
    assert worker.stdout is not None
    worker.stdout.read(100)
    _, err = worker.communicate(timeout=5)
    (log,) = (tmp_path / "logs").iterdir()
    assert b"written to 1" in err
    assert b"written to 1" in log.read_bytes()


def test_a_worker_alone_can_be_told_where_its_log_goes(spawn: Spawn, tmp_path: Path) -> None:
    worker = spawn([*WORKER, "--log-dir", str(tmp_path / "elsewhere")])
    write(worker, protocol.Load(1, LoadRequest(path="loud")))
    assert comes_true(lambda: any("written to 1" in read(log) for log in tmp_path.glob("elsewhere/*")), 5)


@pytest.mark.parametrize("name", ["pol\0te.gguf", "../../x.gguf", "x" * 5000, "höflich.gguf"])
def test_a_request_that_names_what_cannot_be_is_answered_and_the_next_one_too(
    spawn: Spawn, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a system without names beyond ASCII.
    for variable, value in {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}.items():
        monkeypatch.setenv(variable, value)
    (tmp_path / "polite.gguf").write_bytes(b"")
    program = Program(interventions=(Adapter.load(tmp_path / "polite.gguf"),))
    plain = msgspec.msgpack.encode("polite.gguf")
    bad = encode(program).replace(plain, msgspec.msgpack.encode(name))
    (digest,) = (file.digest for adapter in program.adapters() for file in adapter.files)
    worker = spawn()
    write(
        worker,
        protocol.Upload(1, "file", ((digest, 0),)),
        protocol.Generate(2, GenerateRequest(text="a"), bad),
        protocol.Ping(3),
    )
    out, _ = worker.communicate(timeout=10)
    first, second, third = answers(out)
    assert isinstance(first, protocol.Result)
    assert isinstance(second, protocol.Failed)
    assert isinstance(third, protocol.Result)


def test_a_log_that_cannot_be_written_is_named_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [*WORKER, "--log", str(tmp_path / "missing" / "log")], input=b"", capture_output=True, check=False,
        timeout=10, env=environment(tmp_path),
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stdout == b""
    (line,) = done.stderr.decode().splitlines()
    assert str(tmp_path / "missing" / "log") in line


def test_the_terminals_signals_spare_the_worker(spawn: Spawn) -> None:
    worker = spawn()
    write(worker, protocol.Load(1, SCRIPTED))
    assert worker.stdout is not None
    worker.stdout.read(100)
    worker.send_signal(signal.SIGINT)
    worker.send_signal(signal.SIGHUP)
    write(worker, generate("still here"), opening=False)
    time.sleep(0.1)
    out, _ = worker.communicate(timeout=5)
    assert b"still" in out


def test_a_person_who_types_at_a_worker_is_told_what_it_is(tmp_path: Path) -> None:
    leader, follower = os.openpty()
    env = environment(tmp_path)
    done = subprocess.run(WORKER, stdin=follower, capture_output=True, check=False, timeout=10, env=env)
    os.close(leader)
    os.close(follower)
    assert done.returncode != 0
    assert b"engine worker" in done.stderr


def test_a_json_module_in_the_current_folder_is_not_imported(spawn: Spawn, tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('imported the wrong json')")
    (tmp_path / "logging.py").write_text("raise SystemExit('imported the wrong logging')")
    done = subprocess.run(
        WORKER, input=protocol.opening(), capture_output=True, cwd=tmp_path, check=False,
        env=environment(tmp_path / "logs"), timeout=10,
    )  # fmt: skip
    assert done.returncode == 0


def test_the_client_imports_nothing_heavy() -> None:
    code = "import sys, trimtab.engine.client; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"torch", "transformers", "llama_cpp", "textual", "jinja2"}


def test_tokens_are_not_held_back_for_company(spawn: Spawn) -> None:
    worker = spawn()
    write(worker, protocol.Load(1, SCRIPTED), generate("first sleep=60"))
    assert worker.stdout is not None
    data = b""
    token = msgspec.msgpack.encode("first")
    while token not in data:
        data += os.read(worker.stdout.fileno(), 65536)
    assert any(
        isinstance(answer, protocol.Happened) and isinstance(answer.event, Token) for answer in answers(data)
    )
