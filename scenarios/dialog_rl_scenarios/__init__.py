"""Scenario packs that come with dialog_rl: one folder a pack."""
