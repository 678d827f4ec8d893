"""The agent over HTTP, for other front ends: conversations as OpenAI's clients hold them, logged, rated, learnt from.

No dialogue is held here. A request finds its conversation (`conversations`), drives it as the terminal does (`turns`),
and what happens is told in OpenAI's words (`wire`). Who may come in, how often and how much is decided at the `door`.
"""
