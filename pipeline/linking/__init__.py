"""Link tracklets of all cameras to people.

- `site`: what is known of a site, a value that runs learn and hand on
- `index`: tracklets as arrays
- `learning`: how a site is learned from the tracklets of a run
- `evidence`: log odds that two tracklets are one person
- `clustering`: candidate pairs, constraints, and the solver that decides
- `report`: the reasons for decisions, as links between two tracklets
- `linker`: all of it in order
"""
