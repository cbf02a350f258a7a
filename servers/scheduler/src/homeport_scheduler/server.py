"""The MCP surface of the scheduler."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from mcp.server.apps import Apps
from pydantic import AfterValidator, Field

from homeport_scheduler.automation import Automation
from homeport_scheduler.definitions import Definition, Trigger, parsed
from homeport_scheduler.jobs import BulkAction
from homeport_scheduler.results import (
    Changed,
    Checked,
    Exported,
    JobList,
    JobShown,
    Paused,
    Preview,
    RunDetail,
    Runs,
    Saved,
    Started,
    StatusNow,
)
from homeport_scheduler.settings import SchedulerSettings
from homeport_shared import serving
from homeport_shared.context import ServerContext
from homeport_shared.errors import HomeportError
from homeport_shared.identity import LABELS
from homeport_shared.server import Server
from homeport_shared.settings import SettingList
from homeport_shared.tools import APP, APP_WRITE, CREATE, PERSON, PRIVATE, READ, UNDOABLE, WRITE
from homeport_shared.views import view

INSTRUCTIONS = (
    "Jobs that call a tool or give an agent a task: on time, on events or on demand. Try a trigger with `preview` and "
    "a job with `validate_job` before `add_job`; show the user the next runs. Jobs are named by id or name."
)
NONE: list[str] = []  # the SDK copies defaults; a shared list is never changed
Limit = Annotated[int, AfterValidator(lambda limit: min(max(limit, 1), 200))]
Names = list[str]
JSON = "application/json"


def build_server(context: ServerContext) -> Server:
    """Make the scheduler."""
    automation = Automation(context, _serve)
    server = Server(context, title="Automation", instructions=INSTRUCTIONS, extensions=[_view(automation)])
    _reading_tools(server, automation)
    _job_tools(server, automation)
    _running_tools(server, automation)
    _settings(server, automation)
    _resources(server, automation)
    _prompts(server)
    return server


def _reading_tools(server: Server, automation: Automation) -> None:
    showing = automation.showing

    @server.tool(title="List jobs", annotations=READ, meta=PRIVATE)
    async def list_jobs(  # pyright: ignore[reportUnusedFunction]
        query: str = "",
        enabled: Literal["", "yes", "no"] = "",
        trigger: str = "",
        kind: str = "",
        limit: Limit = 50,
        cursor: str = "",
    ) -> JobList:
        """List jobs by name: when they run, what they do, how the last run went."""
        given: dict[str, str | int] = {
            "enabled": int(enabled == "yes") if enabled else "",
            "trigger": trigger,
            "kind": kind,
        }
        filters = {name: value for name, value in given.items() if value != ""}
        return await showing.jobs(query, filters, limit, cursor)

    @server.tool(title="Job", annotations=READ, meta=PRIVATE)
    async def get_job(job: str) -> JobShown:  # pyright: ignore[reportUnusedFunction]
        """Read a job: definition, next runs, figures, recent runs."""
        return JobShown(detail=await showing.job(await automation.jobs.get(job)))

    @server.tool(title="History", annotations=READ, meta=PRIVATE)
    async def list_runs(  # pyright: ignore[reportUnusedFunction]
        job: str = "",
        state: str = "",
        query: str = "",
        since: str = "",
        limit: Limit = 50,
        cursor: str = "",
    ) -> Runs:
        """List runs, newest first: completed, failed, skipped, … with result or error."""
        identifier = (await automation.jobs.get(job)).id if job else ""
        filters = {"job": identifier, "state": state, "query": query, "since": since}
        return await showing.runs(filters, limit, cursor)

    @server.tool(title="Run", annotations=READ, meta=PRIVATE)
    async def get_run(run_id: str) -> RunDetail:  # pyright: ignore[reportUnusedFunction]
        """Read a run whole."""
        return RunDetail(run=await showing.run(run_id))

    @server.tool(title="Preview a trigger", annotations=READ)
    async def preview(  # pyright: ignore[reportUnusedFunction]
        trigger: dict[str, Any],
        time_zone: str = "",
        count: Annotated[int, AfterValidator(lambda count: min(max(count, 1), 50))] = 5,
        past_days: Annotated[int, AfterValidator(lambda days: min(max(days, 0), 90))] = 0,
    ) -> Preview:
        """Say when a trigger, as in add_job, is due, and over past_days would have been."""
        return await showing.preview(parsed(Trigger, trigger), time_zone, count, past_days)

    @server.tool(title="Scheduler status", annotations=READ, meta=APP)
    async def status() -> StatusNow:  # pyright: ignore[reportUnusedFunction]
        """Tell whether the scheduler runs, what comes next and how the last day went."""
        return StatusNow(status=await showing.status())


def _job_tools(server: Server, automation: Automation) -> None:
    jobs = automation.jobs

    @server.tool(title="Add a job", annotations=CREATE, meta=UNDOABLE)
    async def add_job(definition: Definition, enabled: bool = True) -> Saved:  # pyright: ignore[reportUnusedFunction]
        """Save a new job; times in seconds; enabled=false saves a draft."""
        job, checked = await jobs.add(definition, enabled=enabled)
        return Saved(job=await automation.showing.row(job), warnings=checked.warnings, upcoming=checked.upcoming)

    @server.tool(title="Edit a job", annotations=WRITE, meta=UNDOABLE)
    async def edit_job(  # pyright: ignore[reportUnusedFunction]
        job: str, changes: Annotated[dict[str, Any], Field(description="fields of add_job")], if_version: int = 0
    ) -> Saved:
        """Change fields of a job."""
        saved, checked = await jobs.edit(job, dict(changes), if_version)
        return Saved(job=await automation.showing.row(saved), warnings=checked.warnings, upcoming=checked.upcoming)

    @server.tool(title="Validate a job", annotations=READ)
    async def validate_job(definition: dict[str, Any]) -> Checked:  # pyright: ignore[reportUnusedFunction]
        """Check a definition, as in add_job, without saving or running it."""
        return await jobs.check(parsed(Definition, definition))

    @server.tool(title="Change jobs", annotations=WRITE, meta=UNDOABLE)
    async def change_jobs(names: Names, action: BulkAction) -> Changed:  # pyright: ignore[reportUnusedFunction]
        """Do one thing to many jobs; a deleted one is restored by its id."""
        return await jobs.change(names, action)

    @server.tool(title="Export jobs", annotations=READ, meta=APP)
    async def export_jobs(names: Names = NONE) -> Exported:  # pyright: ignore[reportUnusedFunction]
        """Return jobs, or all, as JSON for import_jobs."""
        return await automation.transfer.exported(names)

    @server.tool(title="Import jobs", annotations=CREATE, meta=APP_WRITE)
    async def import_jobs(  # pyright: ignore[reportUnusedFunction]
        document: dict[str, Any], replace: bool = False
    ) -> Changed:
        """Save exported jobs, new ones disabled."""
        return await automation.transfer.imported(document, replaced=replace)


def _running_tools(server: Server, automation: Automation) -> None:
    @server.tool(title="Run a job now", annotations=CREATE, meta=UNDOABLE)
    async def run_job(job: str) -> Started:  # pyright: ignore[reportUnusedFunction]
        """Start a job at once, whatever its trigger."""
        return Started(run_id=(await automation.jobs.run(job)).id)

    @server.tool(title="Start a job for an event", annotations=CREATE, meta=APP_WRITE)
    async def start_job(  # pyright: ignore[reportUnusedFunction]
        job: str, event: dict[str, Any], key: Annotated[str, Field(min_length=1, max_length=200)]
    ) -> Started:
        """Start a job with an event as its input; the same key starts it once."""
        return Started(run_id=(await automation.jobs.run(job, event, key)).id)

    @server.tool(title="Stop a run", annotations=WRITE, meta=UNDOABLE)
    async def stop_run(run_id: str) -> RunDetail:  # pyright: ignore[reportUnusedFunction]
        """Stop a run."""
        return RunDetail(run=await automation.stop(run_id))

    @server.tool(title="Pause or resume all", annotations=WRITE, meta=UNDOABLE)
    async def pause(paused: bool = True) -> Paused:  # pyright: ignore[reportUnusedFunction]
        """Pause or resume all jobs; what falls into the pause is left out."""
        await automation.jobs.pause(paused)
        return Paused(paused=paused)


def _settings(server: Server, automation: Automation) -> None:
    @server.tool(title="Settings", annotations=READ, meta=APP)
    async def show_settings() -> SettingList:  # pyright: ignore[reportUnusedFunction]
        """Show the settings and what they mean."""
        return automation.configuration()

    @server.tool(title="Change settings", annotations=WRITE, meta=PERSON)
    async def change_settings(values: dict[str, Any]) -> SettingList:  # pyright: ignore[reportUnusedFunction]
        """Check and store settings."""
        return await automation.configure(values)

    @server.resource("scheduler://settings", title="Settings", mime_type=JSON)
    async def settings() -> str:  # pyright: ignore[reportUnusedFunction]
        """The settings of the scheduler; also the tool show_settings."""
        return automation.configuration().model_dump_json()


def _resources(server: Server, automation: Automation) -> None:
    showing = automation.showing

    @server.resource("scheduler://status", title="Scheduler", mime_type=JSON, meta=PRIVATE)
    async def status() -> str:  # pyright: ignore[reportUnusedFunction]
        """State, figures and what comes next; also the tool status."""
        return (await showing.status()).model_dump_json()

    @server.resource("scheduler://jobs", title="Jobs", mime_type=JSON, meta=PRIVATE)
    async def jobs() -> str:  # pyright: ignore[reportUnusedFunction]
        """The jobs; also the tool list_jobs."""
        return (await showing.jobs("", {}, 200, "")).model_dump_json()

    @server.resource("scheduler://jobs/{job}", title="Job", mime_type=JSON, meta=PRIVATE)
    async def job(job: str) -> str:  # pyright: ignore[reportUnusedFunction]
        """One job; also the tool get_job."""
        return (await showing.job(await automation.jobs.get(job))).model_dump_json()

    @server.resource("scheduler://runs", title="Runs of jobs", mime_type=JSON, meta=PRIVATE)
    async def runs() -> str:  # pyright: ignore[reportUnusedFunction]
        """The latest runs; also the tool list_runs."""
        return (await showing.runs({}, 100, "")).model_dump_json()

    @server.resource("scheduler://runs/{run_id}", title="Run of a job", mime_type=JSON, meta=PRIVATE)
    async def run(run_id: str) -> str:  # pyright: ignore[reportUnusedFunction]
        """One run; also the tool get_run."""
        return (await showing.run(run_id)).model_dump_json()


def _prompts(server: Server) -> None:
    @server.prompt(title="Draft an automation")
    async def create_automation(request: str) -> str:  # pyright: ignore[reportUnusedFunction]
        """Draft a job from a request in plain words, check it, and ask before it is saved."""
        return (
            f"Draft a job for this request: {request}\n"
            "Choose the trigger and try it with `preview`. Choose the tool or the agent's task; look tools up, do not "
            "guess their names. Check the whole with `validate_job` and correct what it names. Then show me the job in "
            "two or three sentences with its next three runs, and ask. Only when I agree, call `add_job`."
        )

    @server.prompt(title="Explain a failure")
    async def explain_failure(run_id: str) -> str:  # pyright: ignore[reportUnusedFunction]
        """Find out why a run failed and propose a cure."""
        return (
            f"Read the run {run_id} with `get_run` and its job with `get_job`. Say in plain words why it failed, what "
            "was affected, and the one change that prevents it; propose it as arguments of `edit_job`, and ask first."
        )


def _view(automation: Automation) -> Apps:
    async def show_automation(job: str = "") -> StatusNow:
        """Open the automation page; tells how the scheduler is and what comes next."""
        return StatusNow(status=await automation.showing.status())

    return view(
        show_automation,
        package="homeport_scheduler",
        page="automation.html",
        uri="ui://scheduler/automation.html",
        title="automation",
        meta={LABELS: ["reads-private"]},
    )


async def _serve(app: Any, where: str) -> None:
    host, port = serving.address(where)
    if not serving.is_loopback(host):
        raise HomeportError("denied", f"{host} is not this machine alone.", "Put a proxy before it for the outside.")
    await serving.serve_http(app, host, port)


def main() -> None:
    """Run `homeport-scheduler`."""
    serving.main("scheduler", build_server, SchedulerSettings)
