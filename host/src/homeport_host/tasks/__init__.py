"""The one list of tasks: runs of agents, workflows and jobs, beside the long work of servers, as people look at it."""
