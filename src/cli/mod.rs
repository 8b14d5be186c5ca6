//! Arguments as typed, one file per command, reports, exit codes.
