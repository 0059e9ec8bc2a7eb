"""Link while frames are read: a window of time again and again, with ids that stay.

- `runner`: takes tracklets from the worker and embeds them
- `linker`: links the window at each step
- `identities`: which known people the groups of a step are
- `history`: what has left the window
- `events`: what changed, for those who listen
"""
