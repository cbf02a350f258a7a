"""Public URIs: one server keeps a scheme, every other server's URIs of that scheme carry its key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from mcp.shared.uri_template import InvalidUriTemplate, UriTemplate

Rewrite = Callable[[str], str]


def scheme_of(uri: str) -> str:
    """Return the scheme of a URI or URI template, in lower case; empty when it begins with a variable."""
    scheme, colon, _ = uri.partition(":")
    return scheme.lower() if colon and "{" not in scheme else ""


def public_uri(server: str, uri: str, owners: Mapping[str, str]) -> str:
    """Return the URI under which clients know a server's own URI.

    Args:
        server: The server's key.
        uri: Its own URI or URI template.
        owners: Scheme → the server whose URIs stay as they are.
    """
    scheme = scheme_of(uri)
    if scheme == "ui":
        return f"ui://{server}/{uri.partition('://')[2]}"
    return uri if owners.get(scheme, server) == server else f"{server}+{uri}"


def own_uri(uri: str, owners: Mapping[str, str], servers: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return which server a public URI belongs to and the URI that it knows; None when nobody does."""
    scheme = scheme_of(uri)
    if scheme == "ui":
        server, _, rest = uri.partition("://")[2].partition("/")
        return (server, f"ui://{rest}") if server in servers else None
    server, plus, rest = uri.partition("+")
    if plus and server in servers and scheme_of(rest):
        return server, rest
    return (owners[scheme], uri) if scheme in owners else None


def fits(uri: str, template: str) -> bool:
    """Say whether a URI template gives a URI; of one that cannot be parsed, whether the scheme is the same."""
    try:
        return UriTemplate.parse(template).match(uri) is not None
    except InvalidUriTemplate:
        return scheme_of(uri) == scheme_of(template)


def in_entry(entry: Mapping[str, Any], rewrite: Rewrite) -> dict[str, Any]:
    """Return an entry of a list (tool, resource, template) with its URIs rewritten."""
    changed = dict(entry)
    for name in ("uri", "uriTemplate"):
        if isinstance(changed.get(name), str):
            changed[name] = rewrite(changed[name])
    meta = cast("dict[str, Any]", entry.get("_meta") or {})
    view = meta.get("ui")
    if isinstance(view, dict) and isinstance(cast("dict[str, Any]", view).get("resourceUri"), str):
        shown = cast("dict[str, Any]", view)
        changed["_meta"] = {**meta, "ui": {**shown, "resourceUri": rewrite(shown["resourceUri"])}}
    if isinstance(meta.get("ui/resourceUri"), str):  # how the first revisions of MCP Apps wrote it
        changed["_meta"] = {**changed["_meta"], "ui/resourceUri": rewrite(meta["ui/resourceUri"])}
    return changed


def in_result(result: Mapping[str, Any], rewrite: Rewrite) -> dict[str, Any]:
    """Return a result of a call, read or prompt with the URIs of links and resources rewritten.

    Text and structured content stay as they are: what looks like a URI there may be anything.
    """
    changed = dict(result)
    if isinstance(result.get("content"), list):
        changed["content"] = [_in_block(block, rewrite) for block in result["content"]]
    if isinstance(result.get("contents"), list):
        changed["contents"] = [in_entry(item, rewrite) for item in result["contents"]]
    if isinstance(result.get("messages"), list):
        changed["messages"] = [
            {**message, "content": _in_block(message.get("content"), rewrite)} for message in result["messages"]
        ]
    return changed


def _in_block(block: Any, rewrite: Rewrite) -> Any:
    if not isinstance(block, dict):
        return block
    content = cast("dict[str, Any]", block)
    if content.get("type") == "resource_link":
        return in_entry(content, rewrite)
    if content.get("type") == "resource" and isinstance(content.get("resource"), dict):
        return {**content, "resource": in_entry(content["resource"], rewrite)}
    return content
