"""Word reports and Excel workbooks, made and changed from what a model can write: Markdown, and rows of cells.

The functions here parse files that others made: they run in a `workers.Worker`.
"""
