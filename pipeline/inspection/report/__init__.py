"""The run report: one static HTML page that shows what a stage, or a whole run, did to its documents.

data.py      what the page shows, read from an output: counts from its run record, the rest from its documents
charts.py    pictures as SVG, drawn by Vega-Lite
page.py      the page, from page.html.j2
"""
