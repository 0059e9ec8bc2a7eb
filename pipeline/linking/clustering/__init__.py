"""Groups of tracklets that are one person.

- `candidates`: gating, which pairs are compared at all
- `constraints`: cannot-link, which tracklets and groups are forbidden to be one person
- `corrections`: must-link and cannot-link that a human gave
- `solver`: agglomerative clustering under these constraints
- `union_find`: sets that grow together
"""
