"""The report of a run, `report.html`: one file that opens from disk and asks no network.

`data` turns what a run wrote into one document, `crops` keeps the best crop of each tracklet,
`html` puts both into the page. `python -m pipeline.report DIR` makes it again from the folder.
"""
