"""The paper's figures, and what belongs beside them: measured, drawn and put into tables.

Every module measures rows of plain numbers and draws a figure from nothing but these rows. It imports no module of its
own here, because drawing needs `matplotlib`.
"""
