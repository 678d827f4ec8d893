"""The terminal: screens over the same objects that the commands drive. No logic of its own, and no model.

house         what every application shares: themes, keys, how it ends
app           the application in which one chats
desk          what it is given by who starts it
frame         what is shown of a conversation, and where
talking       the conversation: what is typed is sent, what is spoken is shown as it is spoken
judging       what is thought of it: ratings, what becomes of them, what the rewards say
deeds         what else can be done: compare, say otherwise, find again
chat          the chat screen: all of it, and the same by commands
errands       what takes time, off the screen's own thread
review        looking back: the keys that rate
transcript    the turns as they are shown
speech        a text in them, which may grow
composer      where one types
card          in whose place one speaks
dialogs       small windows: a line, a reply, tags, a yes
pair          two answers side by side
watch         the dashboard of a run, beside the chat: an application of its own
browse        logged episodes: a list that grows as it is read
browsed       what browsing is given by who starts it
stepping      one of them, turn by turn, and beside it another version's
standing_in   the agent's place in it, from a turn on
rows          a line of it
packs         scenario packs and their customers
installed     plugins
panes         a list and what is known of its row: for these two
panels        the dashboard's panels: charts, notes, the table of contents
plot, canvas  a chart in a terminal's characters
saved         kept conversations
keys          the line of keys at the bottom
help          every key and command
harmless      nothing a stranger wrote steers the terminal
sanely        however it ends, the terminal is left as it was found
place         whether a terminal or a browser is drawn on
browser       the application's end of a browser
web           the server that browsers come to
preferences   what somebody chose: theme, keys, whether to be learnt from
"""
