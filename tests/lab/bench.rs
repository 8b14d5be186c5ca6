//! Figures on real hosts, printed as ratios; `tests/bench/run` calls them one by one.
