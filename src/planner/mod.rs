//! How a plan is made: a pure function of what is desired and what was observed.
