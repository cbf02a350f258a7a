"""Parameters that are more than values: keys of the vault, models, and files."""

from __future__ import annotations

from typing import Any

import pytest

from homeport_shared.errors import HomeportError

pytestmark = [pytest.mark.anyio, pytest.mark.subprocess]
NODES = {
    "look": {
        "kind": "tool",
        "tool": "ledger__look",
        "arguments": {"words": ["{{ shop }}", "{{ file }}"]},
        "next": "ask",
    },
    "ask": {"kind": "agent", "prompt": "Order it", "model": "{{ mind }}", "next": "end"},
    "end": {"kind": "end", "result": "{{ look.words | join(' ') }}"},
}
VARIABLES = {
    "shop": {"type": "key", "default": "SHOP_API_KEY"},
    "mind": {"type": "model", "default": "ollama/llama3.2:3b"},
    "file": {"type": "file", "default": "workspace/order.md"},
}


async def test_a_key_is_known_by_its_name_in_the_vault_only(house: Any) -> None:
    saved = await house.save(NODES, "look", variables=VARIABLES)
    assert [(each["message"], each["level"]) for each in saved["problems"]] == [
        ("The vault has no key SHOP_API_KEY.", "warning")
    ]
    await house.host.store_secret("SHOP_API_KEY", "sk-very-secret")
    assert {"name": "SHOP_API_KEY"} in (await house.call("list_keys"))["rows"]
    assert (await house.call("workflow_get", workflow="Test"))["problems"] == []
    row = await house.done()
    assert (row.state, row.answer) == ("completed", "SHOP_API_KEY workspace/order.md")
    assert "sk-very-secret" not in str(await house.call("workflow_steps", run_id=row.id))
    assert house.model.chats[-1].model == "llama3.2:3b"


async def test_the_value_of_a_key_is_refused_before_it_is_kept(house: Any) -> None:
    pasted = {**VARIABLES, "shop": {"type": "key", "default": "sk-very-secret"}}
    with pytest.raises(HomeportError, match="its name in the vault") as refused:
        await house.save(NODES, "look", variables=pasted)
    assert "sk-very" not in str(refused.value)
    await house.save(NODES, "look", variables=VARIABLES)
    with pytest.raises(HomeportError, match="shop must be a key") as refused:
        await house.start(parameters={"shop": "sk-very-secret"})
    assert "sk-very" not in str(refused.value)
