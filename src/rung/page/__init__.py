"""The kit of every self-contained HTML page: escaping, the document, tables, SVG plots, how numbers are written.

What a page says is written where its content lives (the ladder's report, the studio); nothing here knows a rung.
"""
