"""Faster ways to compute what a fitted estimator computes, each with proof that it does.

An estimator is *compiled*: its numbers are taken over into a form that one call evaluates without the
estimator's own Python. Whatever cannot be compiled, or does not answer alike, stays *native*.
"""
