"""When a cron expression is due: 40 hard cases by the rules of Debian's cron(8) and crontab(5), and properties."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeport_scheduler.crontab import Crontab, Dst
from homeport_shared.errors import HomeportError

BERLIN, YORK, UTC_ZONE = "Europe/Berlin", "America/New_York", "UTC"
# expression, zone, the clock on the wall at the start, the next runs on the wall with their offset.
CASES = [
    # fields, names, steps, lists
    ("0 9 * * 1-5", UTC_ZONE, "2026-11-01T00:00", ["2026-11-02T09:00+00:00", "2026-11-03T09:00+00:00"]),
    ("0 0 * * 0", UTC_ZONE, "2026-11-02T00:00", ["2026-11-08T00:00+00:00"]),
    ("0 0 * * 7", UTC_ZONE, "2026-11-02T00:00", ["2026-11-08T00:00+00:00"]),
    ("0 0 * * sun", UTC_ZONE, "2026-11-02T00:00", ["2026-11-08T00:00+00:00"]),
    ("0 0 * jan mon", UTC_ZONE, "2026-11-01T00:00", ["2027-01-04T00:00+00:00"]),
    ("*/15 * * * *", UTC_ZONE, "2026-11-01T10:07", ["2026-11-01T10:15+00:00", "2026-11-01T10:30+00:00"]),
    ("5-59/20 * * * *", UTC_ZONE, "2026-11-01T10:00", ["2026-11-01T10:05+00:00", "2026-11-01T10:25+00:00"]),
    ("7/20 * * * *", UTC_ZONE, "2026-11-01T10:00", ["2026-11-01T10:07+00:00", "2026-11-01T10:27+00:00"]),
    ("0,30 8-9 * * *", UTC_ZONE, "2026-11-01T08:45", ["2026-11-01T09:00+00:00", "2026-11-01T09:30+00:00"]),
    ("0 */5 * * *", UTC_ZONE, "2026-11-01T16:00", ["2026-11-01T20:00+00:00", "2026-11-02T00:00+00:00"]),
    ("0 0 1,15 * *", UTC_ZONE, "2026-11-02T00:00", ["2026-11-15T00:00+00:00", "2026-12-01T00:00+00:00"]),
    ("59 23 31 12 *", UTC_ZONE, "2026-11-01T00:00", ["2026-12-31T23:59+00:00", "2027-12-31T23:59+00:00"]),
    # the two day fields: one is enough when both are restricted, both count when one begins with a star
    ("0 0 13 * 5", UTC_ZONE, "2026-11-01T00:00", ["2026-11-06T00:00+00:00", "2026-11-13T00:00+00:00"]),
    ("0 0 1 * 1", UTC_ZONE, "2026-11-25T00:00", ["2026-11-30T00:00+00:00", "2026-12-01T00:00+00:00"]),
    ("0 0 */2 * 1", UTC_ZONE, "2026-11-01T00:00", ["2026-11-09T00:00+00:00", "2026-11-23T00:00+00:00"]),
    ("0 0 1-7 * *", UTC_ZONE, "2026-11-07T00:00", ["2026-12-01T00:00+00:00"]),
    # days that not every month or year has
    ("0 0 31 * *", UTC_ZONE, "2026-11-01T00:00", ["2026-12-31T00:00+00:00", "2027-01-31T00:00+00:00"]),
    ("0 0 30 2,4 *", UTC_ZONE, "2026-11-01T00:00", ["2027-04-30T00:00+00:00"]),
    ("0 0 29 2 *", UTC_ZONE, "2026-11-01T00:00", ["2028-02-29T00:00+00:00", "2032-02-29T00:00+00:00"]),
    ("0 0 29 2 *", UTC_ZONE, "2096-03-01T00:00", ["2104-02-29T00:00+00:00"]),
    ("0 0 L * *", UTC_ZONE, "2027-02-01T00:00", ["2027-02-28T00:00+00:00", "2027-03-31T00:00+00:00"]),
    ("0 0 * * 5#2", UTC_ZONE, "2026-11-01T00:00", ["2026-11-13T00:00+00:00", "2026-12-11T00:00+00:00"]),
    # names and seconds
    ("@daily", UTC_ZONE, "2026-11-01T00:00", ["2026-11-02T00:00+00:00"]),
    ("@hourly", UTC_ZONE, "2026-11-01T00:30", ["2026-11-01T01:00+00:00"]),
    ("@yearly", UTC_ZONE, "2026-11-01T00:00", ["2027-01-01T00:00+00:00"]),
    ("*/20 * * * * *", UTC_ZONE, "2026-11-01T00:00", ["2026-11-01T00:00:20+00:00", "2026-11-01T00:00:40+00:00"]),
    ("30 0 9 * * *", UTC_ZONE, "2026-11-01T09:00:30", ["2026-11-02T09:00:30+00:00"]),
    # the clocks go forward: 29 March 2026 in Berlin, 02:00 becomes 03:00; a fixed time runs at once after the gap
    ("30 2 * * *", BERLIN, "2026-03-28T03:00", ["2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00"]),
    ("0 2 * * *", BERLIN, "2026-03-28T03:00", ["2026-03-29T03:00+02:00", "2026-03-30T02:00+02:00"]),
    ("0,30 2-3 * * *", BERLIN, "2026-03-29T00:00", ["2026-03-29T03:00+02:00", "2026-03-29T03:30+02:00"]),
    ("0 3 * * *", BERLIN, "2026-03-28T04:00", ["2026-03-29T03:00+02:00", "2026-03-30T03:00+02:00"]),
    ("30 * * * *", BERLIN, "2026-03-29T01:00", ["2026-03-29T01:30+01:00", "2026-03-29T03:30+02:00"]),
    ("*/30 2 * * *", BERLIN, "2026-03-29T00:00", ["2026-03-30T02:00+02:00"]),
    # the clocks go back: 25 October 2026 in Berlin, 03:00 becomes 02:00; a fixed time runs once, at the first
    ("30 2 * * *", BERLIN, "2026-10-25T00:00", ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"]),
    ("0 3 * * *", BERLIN, "2026-10-25T00:00", ["2026-10-25T03:00+01:00", "2026-10-26T03:00+01:00"]),
    (
        "*/30 * * * *",
        BERLIN,
        "2026-10-25T01:45",
        ["2026-10-25T02:00+02:00", "2026-10-25T02:30+02:00", "2026-10-25T02:00+01:00", "2026-10-25T02:30+01:00"],
    ),
    ("0 * * * *", YORK, "2026-11-01T00:30", ["2026-11-01T01:00-04:00", "2026-11-01T01:00-05:00"]),
    ("15 1 * * *", YORK, "2026-11-01T00:00", ["2026-11-01T01:15-04:00", "2026-11-02T01:15-05:00"]),
    # half an hour, and a gap at midnight
    ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00", ["2026-10-04T02:30+11:00", "2026-10-05T02:15+11:00"]),
    ("0 0 * * *", "Africa/Cairo", "2026-04-23T12:00", ["2026-04-24T01:00+03:00", "2026-04-25T00:00+03:00"]),
]
ZONES = st.sampled_from(
    [BERLIN, YORK, UTC_ZONE, "Australia/Lord_Howe", "Africa/Cairo", "Asia/Kathmandu", "America/St_Johns"]
)
# Most of them near a change of the clocks of one of the zones, where mistakes are made.
CHANGES = [
    datetime(2026, *day, tzinfo=UTC)
    for day in ((3, 8, 7), (3, 29, 1), (4, 4, 15), (4, 23, 22), (10, 3, 15), (10, 25, 1), (11, 1, 6))
]
MOMENTS = st.builds(
    lambda change, seconds: change + timedelta(seconds=seconds),
    st.sampled_from([*CHANGES, datetime(2027, 12, 31, tzinfo=UTC), datetime(2028, 2, 28, tzinfo=UTC)]),
    st.integers(-130_000, 130_000),
)
MINUTE = st.sampled_from(["*", "*/7", "0", "30", "5,35", "10-12"])
HOUR = st.sampled_from(["*", "*/2", "2", "1-3", "0,23", "3"])
DAY = st.sampled_from(["*", "1", "25-31", "*/3"])
WEEKDAY = st.sampled_from(["*", "0", "1-5", "7"])
EXPRESSIONS = st.builds(lambda *fields: " ".join(fields), MINUTE, HOUR, DAY, st.just("*"), WEEKDAY)
DSTS = st.sampled_from(["once", "skip", "twice"])


def test_there_are_forty_cases() -> None:
    assert len(CASES) == 40


@pytest.mark.parametrize(("text", "zone", "start", "expected"), CASES)
def test_a_hard_case_is_due_as_cron_documents_it(text: str, zone: str, start: str, expected: list[str]) -> None:
    crontab, at = Crontab(text, ZoneInfo(zone)), datetime.fromisoformat(start).replace(tzinfo=ZoneInfo(zone))
    for wanted in expected:
        found = crontab.after(at.astimezone(UTC))
        assert found is not None
        assert found.astimezone(ZoneInfo(zone)).isoformat() == datetime.fromisoformat(wanted).isoformat()
        at = found


@pytest.mark.parametrize(
    ("dst", "spring", "autumn"),
    [("once", "03:00", ["02:30+02"]), ("skip", None, ["02:30+02"]), ("twice", "03:00", ["02:30+02", "02:30+01"])],
)
def test_what_a_change_of_the_clocks_does_is_chosen(dst: Dst, spring: str | None, autumn: list[str]) -> None:
    crontab, zone = Crontab("30 2 * * *", ZoneInfo(BERLIN), dst), ZoneInfo(BERLIN)
    [*found] = crontab.latest(datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 3, 29, 12, tzinfo=UTC), 5)
    assert [f"{at.astimezone(zone):%H:%M}" for at in found] == ([spring] if spring else [])
    [*found] = crontab.latest(datetime(2026, 10, 24, 12, tzinfo=UTC), datetime(2026, 10, 25, 12, tzinfo=UTC), 5)
    assert [f"{at.astimezone(zone):%H:%M%z}"[:8] for at in found] == autumn


@pytest.mark.parametrize("text", ["", "* * * *", "61 * * * *", "* * 30 2 *", "@reboot", "a b c d e", "*/0 * * * *"])
def test_what_is_no_cron_expression_is_refused(text: str) -> None:
    with pytest.raises(HomeportError, match="cron expression"):
        Crontab(text, ZoneInfo(UTC_ZONE))


@given(EXPRESSIONS, ZONES, MOMENTS, DSTS)
@settings(max_examples=300)
def test_runs_grow_and_none_lies_between(text: str, zone: str, moment: datetime, dst: Dst) -> None:
    crontab = Crontab(text, ZoneInfo(zone), dst)
    found: list[datetime] = [moment]
    while len(found) < 6 and (following := crontab.after(found[-1])) is not None:
        found.append(following)
    for earlier, later in pairwise(found):
        assert earlier < later
        middle = earlier + (later - earlier) / 2
        assert crontab.after(middle) == later


@given(EXPRESSIONS, ZONES, MOMENTS, DSTS, st.integers(1, 5))
@settings(max_examples=40)
def test_looking_back_finds_what_looking_forward_found(
    text: str, zone: str, moment: datetime, dst: Dst, most: int
) -> None:
    crontab, until = Crontab(text, ZoneInfo(zone), dst), moment + timedelta(hours=14)
    forward: list[datetime] = []
    at = crontab.after(moment)
    while at is not None and at <= until:
        forward.append(at)
        at = crontab.after(at)
    assert crontab.latest(moment, until, most) == forward[-most:]
