"""Workers, with real child processes."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from tests.patience import PATIENCE

from homeport_shared.errors import HomeportError
from homeport_shared.workers import Worker

sys.path.insert(0, str(Path(__file__).parent))
import worker_functions as work

pytestmark = [pytest.mark.anyio, pytest.mark.subprocess]


@asynccontextmanager
async def worker(memory_mb: int | None = None, idle_seconds: float = 60.0) -> AsyncGenerator[Worker]:
    made = Worker("test reader", memory_mb=memory_mb, idle_seconds=idle_seconds)
    try:
        with anyio.fail_after(PATIENCE):
            yield made
    finally:
        await made.aclose()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def until(condition: Callable[[], object]) -> None:
    with anyio.fail_after(PATIENCE):
        while not condition():
            await anyio.sleep(0.01)


async def written(path: Path) -> int:
    await until(lambda: path.exists() and path.read_text())
    return int(path.read_text())


async def test_the_result_of_a_function_comes_back_from_another_process() -> None:
    async with worker() as reader:
        assert reader.pid is None
        assert await reader.call(work.add, 2, 3) == 5
        assert await reader.call(os.getpid) == reader.pid != os.getpid()


async def test_module_globals_stay_between_calls() -> None:
    async with worker() as reader:
        assert [await reader.call(work.counted) for _ in range(3)] == [1, 2, 3]
        assert work.calls == 0


async def test_large_arguments_and_results_travel_whole() -> None:
    data = os.urandom(5_000_000)
    async with worker() as reader:
        assert await reader.call(work.echo, data) == data


async def test_simultaneous_calls_take_turns() -> None:
    seen: list[int] = []
    async with worker() as reader, anyio.create_task_group() as group:

        async def one() -> None:
            seen.append(await reader.call(work.counted))

        for _ in range(5):
            group.start_soon(one)
    assert seen == [1, 2, 3, 4, 5]


async def test_a_foreseen_error_arrives_as_itself() -> None:
    async with worker() as reader:
        with pytest.raises(HomeportError) as caught:
            await reader.call(work.refuse, "plan.pdf")
        assert caught.value.as_dict() == {
            "code": "denied",
            "message": "plan.pdf is protected by a password.",
            "hint": "Remove it.",
        }
        pid = reader.pid
        assert await reader.call(work.add, 1, 1) == 2
        assert reader.pid == pid


@pytest.mark.parametrize("function", [work.fail, work.cannot_travel])
async def test_an_unforeseen_error_gets_a_reference_that_is_in_the_log(
    function: object, caplog: pytest.LogCaptureFixture
) -> None:
    async with worker() as reader:
        with pytest.raises(HomeportError) as caught:
            await reader.call(function)
        assert caught.value.code == "internal"
        reference = caught.value.message.split("reference ")[1].rstrip(").")
        assert reference in caplog.text
        assert "Traceback" in caplog.text
        assert "Traceback" not in str(caught.value)
        assert await reader.call(work.add, 1, 1) == 2


@pytest.mark.parametrize(("function", "value", "how"), [(work.leave, 3, "exit code 3"), (work.die, 9, "SIGKILL")])
async def test_a_child_that_dies_is_reported_and_replaced(function: object, value: int, how: str) -> None:
    async with worker() as reader:
        with pytest.raises(HomeportError, match=how) as caught:
            await reader.call(function, value)
        assert caught.value.code == "unavailable"
        assert reader.pid is None
        assert await reader.call(work.add, 1, 1) == 2


async def test_a_child_that_died_between_two_calls_is_replaced_without_a_word() -> None:
    async with worker() as reader:
        await reader.call(work.add, 1, 1)
        os.kill(reader.pid, signal.SIGKILL)
        await until(lambda: reader.pid is None)
        assert await reader.call(work.counted) == 1


async def test_a_call_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    async with worker() as reader:
        with pytest.raises(HomeportError, match=r"within 0\.5 seconds") as caught:
            await reader.call(work.hang, str(tmp_path / "pid"), timeout=0.5)
        assert caught.value.code == "timeout"
        assert reader.pid is None
        assert await reader.call(work.add, 1, 1) == 2


async def test_cancelling_a_call_kills_the_child_at_once(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    async with worker() as reader:
        async with anyio.create_task_group() as group:
            group.start_soon(reader.call, work.hang_deaf, str(note))
            pid = await written(note)
            group.cancel_scope.cancel()
        assert not alive(pid)
        assert await reader.call(work.add, 1, 1) == 2


async def test_cancelling_a_call_that_waits_its_turn_leaves_the_running_one_alone(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    async with worker() as reader, anyio.create_task_group() as group:
        group.start_soon(reader.call, work.hang, str(note))
        pid = await written(note)
        with anyio.move_on_after(0.1):
            await reader.call(work.add, 1, 1)
        assert alive(pid)
        group.cancel_scope.cancel()


async def test_closing_ends_the_child_in_the_middle_of_a_call(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    async with worker() as reader, anyio.create_task_group() as group:

        async def interrupted() -> None:
            with pytest.raises(HomeportError, match="closed in the middle") as caught:
                await reader.call(work.hang, str(note))
            assert caught.value.code == "cancelled"

        group.start_soon(interrupted)
        pid = await written(note)
        await reader.aclose()
        assert not alive(pid)


if sys.platform == "linux":  # the one system that promises the limit

    async def test_more_memory_than_allowed_is_refused_in_words() -> None:
        async with worker(memory_mb=200) as reader:
            with pytest.raises(HomeportError, match="200 MB") as caught:
                await reader.call(work.fill, 400)
            assert caught.value.code == "too_large"
            assert await reader.call(work.fill, 20) == 20 * 1024 * 1024


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has priority classes, not nice values")
async def test_a_child_for_the_background_gives_way_to_everything_else() -> None:
    ours = os.nice(0)
    async with worker() as reader:
        assert await reader.call(os.nice, 0) == ours
    made = Worker("test builder", background=True)
    assert await made.call(os.nice, 0) == ours + 10
    await made.aclose()


async def test_an_idle_child_ends_by_itself_and_the_next_call_starts_a_new_one() -> None:
    async with worker(idle_seconds=0.2) as reader:
        await reader.call(work.counted)
        pid = reader.pid
        assert pid is not None
        await until(lambda: not alive(pid))
        assert await reader.call(work.counted) == 1


async def test_calls_at_the_moment_the_child_leaves_are_never_lost() -> None:
    async with worker(idle_seconds=0.01) as reader:
        for pause in range(12):
            assert await reader.call(work.add, pause, 0) == pause
            await anyio.sleep(0.008 + pause / 2000)


async def test_what_a_library_prints_reaches_the_log_and_not_the_reply(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    async with worker() as reader:
        assert await reader.call(work.chatter) == ""
        assert await reader.call(work.add, 1, 1) == 2
    for words in ("a library greets", "its C part", "with a warning"):
        assert caplog.text.count(words) == 1
    assert capfd.readouterr() == ("", "")


async def test_the_child_does_not_import_from_the_folder_it_was_started_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('hijacked')")
    monkeypatch.chdir(tmp_path)
    async with worker() as reader:
        assert str(tmp_path) not in await reader.call(work.path_of_modules)
        assert await reader.call(work.add, 1, 1) == 2


PARENT = """
import sys, anyio
sys.path.insert(0, {folder!r})
import worker_functions as work
from homeport_shared.workers import Worker

anyio.run(Worker("orphan").call, work.hang, {note!r})
"""


async def test_a_parent_that_is_killed_leaves_no_orphan(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    script = tmp_path / "parent.py"
    script.write_text(PARENT.format(folder=str(Path(__file__).parent), note=str(note)))
    parent = await anyio.open_process([sys.executable, str(script)], stderr=subprocess.DEVNULL)
    async with parent:
        child = await written(note)
        parent.kill()
        await parent.wait()
        await until(lambda: not alive(child))
