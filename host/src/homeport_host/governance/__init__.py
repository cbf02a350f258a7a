"""Who may do what: one dispatch path, one policy, approvals, labels and taint."""
