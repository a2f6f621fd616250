"""How fast a bundle is in service: against the bare model and against other servers, on this machine, in one run."""
