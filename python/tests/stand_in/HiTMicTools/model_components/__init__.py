"""Stands in for HiTMicTools in tests: the names that a run touches, and nothing behind them."""
