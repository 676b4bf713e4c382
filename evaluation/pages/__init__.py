"""What is shown: HTML pages, plots and the model card.

In: JSON files of a run's folder. Out: report.html, compare.html, series.html, tokenizer.html and a model's README.md,
each whole in itself. Read report.py first; all share html.py with its templates, figures.py (numbers that know the
field they are from) and charts.py (plots, which svg.py and drawing.py draw).
"""
