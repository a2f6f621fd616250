"""The behaviour suite: what an exported bundle must do on hand-written cases, whatever its scores are (CheckList)."""
