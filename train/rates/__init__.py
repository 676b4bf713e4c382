"""What the optimizer's rates are: how they are given, and what becomes of them in a model of another size.

In: settings, the architecture, a parameter's name. Out: factors of its rate, decay, epsilon and initial values. Read
carry_over.py first.
"""
