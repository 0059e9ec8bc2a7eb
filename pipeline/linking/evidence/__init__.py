"""Log odds that two tracklets are one person.

- `appearance`: from the similarity of their embeddings
- `position`: from where they are at one time, or one after the other
- `travel`, `gaps`: from the time between two cameras
"""
