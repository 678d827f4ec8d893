"""The worlds of tau2-bench, for those who have its checkout: records, tools of both sides, scenes and assertions."""
