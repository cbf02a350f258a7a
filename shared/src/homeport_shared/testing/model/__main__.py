"""Run the model double by hand: `python -m homeport_shared.testing.model --script FILE.json --port 11434`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import anyio

from homeport_shared.testing.model import MODELS, ModelDouble, Script, read_script


def main() -> None:
    """Serve until interrupted; the first line on stdout is a JSON object with the addresses."""
    parser = argparse.ArgumentParser(prog="python -m homeport_shared.testing.model", description=__doc__)
    parser.add_argument("--script", type=Path, help="JSON file with the answers, see `read_script`")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 = a free one")
    parser.add_argument("--key", default="", help="the API key the OpenRouter address wants; empty = any")
    parser.add_argument("--num-ctx", type=int, default=4096, help="Ollama's default context window, tokens")
    parser.add_argument("--seed", type=int, default=0, help="decides how answers are cut into pieces")
    given = parser.parse_args()
    try:
        script = read_script(given.script) if given.script else Script()
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"The script {given.script} cannot be used: {error}")
    double = ModelDouble(script, MODELS, key=given.key, num_ctx=given.num_ctx, seed=given.seed, port=given.port)
    try:
        anyio.run(_serve, double)
    except KeyboardInterrupt:
        sys.exit(0)


async def _serve(double: ModelDouble) -> None:
    async with double:
        addresses = {"ollama": double.ollama_url, "openrouter": double.openrouter_url}
        sys.stdout.write(json.dumps(addresses) + "\n")
        sys.stdout.flush()
        await anyio.sleep_forever()


main()
