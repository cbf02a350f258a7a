"""Tickets are good once, for one purpose, for a while."""

from __future__ import annotations

from homeport_host.tickets import Tickets
from homeport_shared.testing.clock import SetClock


def test_a_ticket_is_good_once_and_only_for_its_purpose() -> None:
    tickets = Tickets()
    token = tickets.create("upload", "chat:1")
    assert tickets.redeem(token, "login") is None
    assert tickets.peek(token, "upload") == "chat:1"
    assert tickets.redeem(token, "upload") == "chat:1"
    assert tickets.redeem(token, "upload") is None


def test_a_ticket_expires_and_old_ones_make_room() -> None:
    clock = SetClock()
    tickets = Tickets(clock)
    token = tickets.create("login", seconds=10)
    clock.go_on(seconds=11)
    assert tickets.redeem(token, "login") is None
    first = tickets.create("login")
    for _ in range(1_000):
        tickets.create("login")
    assert tickets.redeem(first, "login") is None
