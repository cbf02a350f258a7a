"""What tests of agents and servers use: a model server to script, a server and a client in one process."""

from homeport_shared.testing.clients import connected
from homeport_shared.testing.model import ModelDouble, Reply, call, on

__all__ = ["ModelDouble", "Reply", "call", "connected", "on"]
