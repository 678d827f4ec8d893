"""Logged conversations to look at: listed, stepped through, laid beside others, gone on from. No terminal, no model.

pages           which episodes there are, newest first, a page at a time
stepping        one episode turn by turn: who said what, where something went wrong, how it is judged
closely         the same token by token
comparison      an episode and how it went another time, turn beside turn
standing_in     somebody in the agent's place, from a turn on
scenario_files  a conversation as a scenario that can be played again
"""
