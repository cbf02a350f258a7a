"""Start a stdio server so that it cannot outlive the host; run as a script by `processes`, it imports nothing of ours.

Called with the path of a record, the host's pid and the command. It writes its own pid and the host's into the record,
on Linux asks the kernel to kill it when the host dies, and becomes the command.
"""

from __future__ import annotations

import os
import sys

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
SIGKILL = 9


def main() -> None:
    """Become the command in `sys.argv[3:]`."""
    record, host, command = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    with open(record, "w", encoding="ascii") as file:  # noqa: PTH123 - pathlib takes longer to import than all the rest
        file.write(f"{os.getpid()} {host}")
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGKILL)
    if os.getppid() != host:  # it died before the kernel was asked
        return
    os.execvp(command[0], command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
