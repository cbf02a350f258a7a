"""What clients see of the server: small, described, labelled."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import BOTH_ERAS

pytestmark = pytest.mark.anyio
READING = {"list", "read", "search", "info", "history"}
CHANGING = {"write", "edit", "apply", "move", "delete", "undo", "write_document"}
FOR_PAGES = {
    "roots",
    "add_root",
    "remove_root",
    "changes",
    "restore",
    "recent",
    "tag",
    "tags",
    "rename_tag",
    "folders",
    "stats",
    "browse",
    "preview",
    "thumbnail",
    "download",
    "layout",
    "make_folder",
    "upload_part",
    "upload",
    "vectorize",
    "index_folder",
    "ask",
    "sync",
    "sync_state",
    "resolve",
    "leftovers",
    "clean_up",
    "version_space",
    "forget_versions",
    "back_up",
    "restore_backup",
    "jobs",
    "cancel_job",
    "chats",
    "attach",
}


@BOTH_ERAS
async def test_the_tools_are_described_and_fit_into_8_kb(files: Any) -> None:
    tools = await files.client.list_tools()
    shown = tools.model_copy(update={"tools": [tool for tool in tools.tools if "visibility" not in str(tool.meta)]})
    assert len(shown.model_dump_json(by_alias=True, exclude_none=True)) <= 8 * 1024, "what a model is shown"
    for tool in tools.tools:
        assert tool.title, tool.name
        assert tool.description, tool.name
        assert tool.annotations, tool.name
        assert tool.output_schema, tool.name


@BOTH_ERAS
async def test_labels_and_annotations_tell_what_a_tool_does(files: Any) -> None:
    tools = {tool.name: tool for tool in (await files.client.list_tools()).tools}
    assert set(tools) == READING | CHANGING | FOR_PAGES | {"show_files"}
    for name in READING:
        assert tools[name].annotations.read_only_hint
        assert tools[name].meta["io.homeport/labels"] == ["reads-private", "untrusted-content"]
    for name in CHANGING:
        assert not tools[name].annotations.read_only_hint
        assert tools[name].annotations.destructive_hint is False
        assert tools[name].meta["io.homeport/labels"] == ["can-be-taken-back"]
    assert all(tools[name].meta["ui"] == {"visibility": ["app"]} for name in FOR_PAGES)


@BOTH_ERAS
async def test_the_resources_are_there(files: Any) -> None:
    resources = {str(resource.uri) for resource in (await files.client.list_resources()).resources}
    assert {"files://roots", "files://history", "files://changes", "files://health"} <= resources
    templates = (await files.client.list_resource_templates()).resource_templates
    assert [template.uri_template for template in templates] == [
        "files://jobs/{job_id}",
        "files://changes/{change_set}",
        "files://about/{root}/{+path}",
        "files://details/{root}/{+path}",
        "files://thumbnails/{root}/{+path}",
        "files://{root}/{+path}",
    ]
