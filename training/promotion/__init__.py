"""Who is champion: installed in one step, written into a ledger, undone by one command. Needs no torch."""
