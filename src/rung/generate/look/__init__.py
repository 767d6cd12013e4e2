"""What a model does with one text: its tokens, its embeddings' neighbours, where its attention goes, what comes next.

It lives in `generate` because the chances of the next token are those that `sampling` would draw from, by its own order
of filters, and because weights are run here; pages and tables are drawn from the values alone. Opening a saved System is
left to `system`.
"""
