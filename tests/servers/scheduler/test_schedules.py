"""Intervals, single dates, and what the policies make of instants that were missed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport_scheduler.crontab import Crontab
from homeport_scheduler.definitions import Missed, Trigger
from homeport_scheduler.policies import GRACE, back_off, jitter, plan
from homeport_scheduler.schedules import Interval, moment_of, note_on, schedule_of, seconds_of, upcoming, zone_of
from homeport_shared.errors import HomeportError

BERLIN = ZoneInfo("Europe/Berlin")
START = datetime(2026, 3, 1, tzinfo=UTC)
SECONDS = st.integers(1, 100_000)
MOMENTS = st.integers(2026, 2028).flatmap(
    lambda year: st.integers(0, 31_535_999).map(
        lambda second: datetime(year, 1, 1, tzinfo=UTC) + timedelta(seconds=second)
    )
)


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("15m", 900), ("2h", 7_200), ("1d12h", 129_600)])
def test_a_time_span_is_read(text: str, seconds: int) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "0s", "1w", "m5", "-5m", "5m!", "99999999d"])
def test_what_is_no_time_span_is_refused(text: str) -> None:
    with pytest.raises(HomeportError, match="time span"):
        seconds_of(text)


def test_an_interval_goes_on_evenly_when_the_clocks_change() -> None:
    schedule = schedule_of(Trigger(every="12h", start="2026-03-28T12:00"), BERLIN)
    assert schedule is not None
    found = upcoming(schedule, datetime(2026, 3, 28, 12, tzinfo=UTC), 3)
    assert [f"{at.astimezone(BERLIN):%d %H:%M}" for at in found] == ["29 00:00", "29 13:00", "30 01:00"]


def test_a_date_is_the_clock_of_the_jobs_zone_unless_it_says_otherwise() -> None:
    assert moment_of("2026-07-01T09:00", BERLIN) == datetime(2026, 7, 1, 7, tzinfo=UTC)
    assert moment_of("2026-07-01T09:00Z", BERLIN) == datetime(2026, 7, 1, 9, tzinfo=UTC)
    assert moment_of("2026-03-29T02:30", BERLIN) == datetime(2026, 3, 29, 1, tzinfo=UTC)
    with pytest.raises(HomeportError, match="not a date"):
        moment_of("tomorrow", BERLIN)
    with pytest.raises(HomeportError, match="no time zone"):
        zone_of("Mars/Base")


def test_a_date_is_due_once() -> None:
    schedule = schedule_of(Trigger(at="2026-07-01T09:00Z"), BERLIN)
    assert schedule is not None
    at = datetime(2026, 7, 1, 9, tzinfo=UTC)
    assert schedule.after(START) == at
    assert schedule.after(at) is None
    assert schedule.latest(START, at, 5) == [at]


def test_a_change_of_the_clocks_is_noted_where_it_matters() -> None:
    crontab = Crontab("30 2 * * *", BERLIN, "twice")
    spring = crontab.after(datetime(2026, 3, 28, 12, tzinfo=UTC))
    first = crontab.after(datetime(2026, 10, 24, 12, tzinfo=UTC))
    assert spring
    assert first
    second = crontab.after(first)
    assert second
    assert note_on(spring, BERLIN) == "The clocks went forward by 1 h just before."
    assert "comes twice, this is the first" in note_on(first, BERLIN)
    assert "this is the second" in note_on(second, BERLIN)
    assert note_on(second + timedelta(days=1), BERLIN) == ""


@given(SECONDS, MOMENTS, MOMENTS)
def test_an_interval_is_due_exactly_once_per_span(seconds: int, start: datetime, moment: datetime) -> None:
    schedule = Interval(seconds, start)
    following = schedule.after(moment)
    assert following is not None
    assert following > moment
    assert (following - start) % timedelta(seconds=seconds) == timedelta()
    assert following == start or following - timedelta(seconds=seconds) <= moment
    assert schedule.latest(moment, following, 3) == [following]


@given(SECONDS, st.integers(0, 400_000), st.integers(1, 20), st.sampled_from(["skip", "once", "all"]))
def test_after_an_outage_the_policy_decides_how_many_runs_there_are(
    seconds: int, away: int, most: int, missed: Missed
) -> None:
    schedule, now = Interval(seconds, START), START + timedelta(seconds=away)
    made = plan(schedule, START, now, missed, most)
    fallen = away // seconds + 1
    late = now - (START + timedelta(seconds=(fallen - 1) * seconds)) > GRACE
    assert len(made.runs) == {"skip": 0 if late else 1, "once": 1, "all": min(fallen, most)}[missed]
    assert (made.passed is not None) == (missed == "skip" and late)
    assert made.following is not None
    assert made.following > now
    assert list(made.runs) == sorted(set(made.runs))


@given(st.text(min_size=1), st.integers(0, 86_400))
def test_jitter_is_the_same_for_the_same_run_and_within_bounds(run: str, seconds: int) -> None:
    assert timedelta() <= jitter(run, seconds) <= timedelta(seconds=seconds)
    assert jitter(run, seconds) == jitter(run, seconds)


def test_back_off_doubles_up_to_an_hour() -> None:
    assert [back_off(30, attempt).total_seconds() for attempt in (1, 2, 3, 8, 19)] == [30, 60, 120, 3_600, 3_600]
