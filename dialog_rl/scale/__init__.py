"""Beyond one process: rollouts on Ray's workers, and what it would take to serve many more people.

extra       Ray, or the word which extra brings it
cluster     a cluster of this machine's own, or one that is there
worker      one process that speaks: what is sent to it, what it sends back
fleet       workers that are given conversations, hired anew when they die, none lost and none counted twice
"""
