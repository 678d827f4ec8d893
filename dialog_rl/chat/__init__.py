"""Conversations with people: what they are, without a terminal and without a model. Faces and models meet one floor up.

session     one conversation: what was said is logged before it is answered; stop, resend, resume, leave
opinions    what the person thinks of it: ratings, tags, corrections, comments, undo
pairs       another answer to the same turn, compared blind
card        in whose place the person speaks
talk        what a face needs of a conversation: this one, or one at a service
voice       what a session needs of a model
room        new conversations, and those kept: found again, named, put away
export      a conversation as Markdown, JSON Lines or preference pairs
"""
